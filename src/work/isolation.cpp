#include "work/isolation.hpp"

#include <chrono>

namespace builder::work {

namespace {

/// For the next suspect of the queue to be taken: those of one worker come one behind the other.
constexpr std::chrono::milliseconds k_gather{500};

}  // namespace

bool Isolation::is_closed() const {
  const std::scoped_lock lock(mutex_);
  return suspects_ > 0 || lasts_ > 0 || occupied_;
}

Isolation::Pass::Pass(Isolation& isolation, Kind kind) : isolation_(isolation), kind_(kind) {
  const std::scoped_lock lock(isolation_.mutex_);
  isolation_.suspects_ += kind == Kind::suspect ? 1 : 0;
  isolation_.lasts_ += kind == Kind::last ? 1 : 0;
}

void Isolation::Pass::begin(const std::stop_token& stop) {
  std::unique_lock lock(isolation_.mutex_);
  const Isolation& all = isolation_;
  const auto may_begin = [&] {
    switch (kind_) {
      case Kind::ordinary:
        return all.suspects_ == 0 && all.lasts_ == 0 && !all.occupied_;
      case Kind::suspect:
        return all.running_ == 0 && !all.occupied_;
      case Kind::last:
        return all.running_ == 0 && all.suspects_ == 0 && all.cleared_ == 0 && !all.occupied_;
    }
    return true;
  };
  if (isolation_.changed_.wait(lock, stop, may_begin)) {
    enter(kind_ == Kind::ordinary  ? State::running
          : kind_ == Kind::suspect ? State::reading
                                   : State::alone);
  }
}

void Isolation::Pass::cleared(const std::stop_token& stop) {
  std::unique_lock lock(isolation_.mutex_);
  if (state_ != State::reading) {
    return;
  }
  leave();
  enter(State::cleared);
  // Stopped or not, it runs from here on.
  isolation_.changed_.wait_for(lock, stop, k_gather,
                               [this] { return isolation_.suspects_ > 0 || isolation_.occupied_; });
  isolation_.changed_.wait(lock, stop,
                           [this] { return isolation_.suspects_ == 0 && !isolation_.occupied_; });
  leave();
  enter(State::running);
}

void Isolation::Pass::rest() {
  const std::scoped_lock lock(isolation_.mutex_);
  leave();
  enter(State::resting);
}

Isolation::Pass::~Pass() {
  const std::scoped_lock lock(isolation_.mutex_);
  leave();
}

void Isolation::Pass::enter(State state) {
  state_ = state;
  isolation_.running_ += state == State::running ? 1 : 0;
  isolation_.cleared_ += state == State::cleared ? 1 : 0;
  isolation_.occupied_ = isolation_.occupied_ || state == State::reading || state == State::alone;
  isolation_.changed_.notify_all();
}

/// The state it is in. What it was taken as counts until it is read, or until its end.
void Isolation::Pass::leave() {
  isolation_.running_ -= state_ == State::running ? 1 : 0;
  isolation_.cleared_ -= state_ == State::cleared ? 1 : 0;
  if (state_ == State::reading || state_ == State::alone) {
    isolation_.occupied_ = false;
  }
  if (state_ == State::reading || (state_ == State::waiting && kind_ == Kind::suspect)) {
    --isolation_.suspects_;
  }
  if (state_ == State::alone || (state_ == State::waiting && kind_ == Kind::last)) {
    --isolation_.lasts_;
  }
  isolation_.changed_.notify_all();
}

}  // namespace builder::work
