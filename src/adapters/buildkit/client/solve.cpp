#include "adapters/buildkit/client/solve.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

namespace wire = moby::buildkit::v1;
using Clock = std::chrono::steady_clock;

/// Without a message after Solve has ended, the progress stream is given up after this time. It
/// ends by itself 0.3 ms after a success and 5 to 210 ms after a cancel.
constexpr std::chrono::seconds k_tail_limit{3};
/// The daemon lets Status wait up to 6 s for a job that Solve was refused before it existed.
constexpr std::chrono::milliseconds k_refused_limit{100};

/// So does a spare stream that was opened too late to hear of the job.
constexpr std::chrono::milliseconds k_spare_limit{500};
/// So many messages without content in a row come from a daemon that went astray only.
constexpr int k_empty_limit = 16;
/// A spare stream's backlog lies in the daemon's memory: it is replaced after so much output …
constexpr std::size_t k_backlog_limit = 8u << 20;
/// … and kept until the daemon has surely taken note of its successor.
constexpr std::chrono::seconds k_registration_limit{1};

/// The daemon splits batches with more output than this: the first part holds all vertices.
constexpr std::size_t k_split_size = 1'000'000;

std::size_t output_of(const wire::StatusResponse& message) {
  std::size_t size = 0;
  for (const wire::VertexLog& log : message.logs()) {
    size += log.msg().size();
  }
  return size;
}

/// One call of Control.Status, cancelled with the object.
class StatusCall {
 public:
  StatusCall(wire::Control::Stub& control, const std::string& ref) {
    wire::StatusRequest request;
    request.set_ref(ref);
    reader_ = control.Status(&context_, request);
  }

  ~StatusCall() {
    if (!end_) {
      cancel();
      static_cast<void>(reader_->Finish());
    }
  }

  StatusCall(const StatusCall&) = delete;
  StatusCall& operator=(const StatusCall&) = delete;

  /// False at the end; not called again behind it.
  bool read(wire::StatusResponse& message) {
    if (reader_->Read(&message)) {
      return true;
    }
    end_ = reader_->Finish();
    return false;
  }

  void cancel() { context_.TryCancel(); }

  /// `read` has returned false because the daemon had no more to say. The verdict about the build
  /// is that of Solve.
  [[nodiscard]] bool ended_well() const { return end_ && end_->ok(); }

  [[nodiscard]] Clock::duration age() const { return Clock::now() - opened_; }

 private:
  Clock::time_point opened_ = Clock::now();
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<wire::StatusResponse>> reader_;
  std::optional<grpc::Status> end_;
};

/// The progress of one solve as one stream of messages.
///
/// BuildKit before 0.10 (Engine 20.10 with its log limits lifted) never gets out of a batch of more
/// than 1 MiB of output: it sends the batch, then messages without content for ever. And it tells a
/// stream only what happens after it was opened. So a spare one is held, unread, from the start: it
/// takes over behind what was delivered already. It waits on a connection that lets nothing
/// through, so that what the daemon collects for it is one batch, and not several, one of which
/// might be too large before the end.
class StatusStream {
 public:
  struct Message {
    wire::StatusResponse content;
    bool is_first_part = false;  ///< The daemon has split a batch.
    bool after_gap = false;      ///< Something before it may be missing.
  };

  StatusStream(wire::Control::Stub& control, const std::shared_ptr<grpc::Channel>& reserve,
               std::string ref)
      : ref_(std::move(ref)), active_(std::make_shared<StatusCall>(control, ref_)) {
    if (reserve != nullptr) {
      reserve_ = wire::Control::NewStub(reserve);
      add_spare();
    }
  }

  /// The next message, without content where a spare stream took over; false at the end.
  bool read(Message& message) {
    for (int empty = 0; active_->read(message.content);) {
      if (message.content.ByteSizeLong() > 0) {
        took_over_ = false;
        message.is_first_part = output_of(message.content) >= k_split_size;
        message.after_gap = reserve_ != nullptr && !note(message.content);
        return true;
      }
      if (++empty >= k_empty_limit && reserve_ != nullptr) {
        message = {};  // Says that another stream is read now.
        return take_over();
      }
    }
    return false;
  }

  /// `read` has returned false, and nothing is missing. A spare stream that took over and said
  /// nothing was opened too late: the one before it had everything.
  [[nodiscard]] bool is_whole() const { return took_over_ || active_->ended_well(); }

  /// A spare stream took over and has said nothing yet; any thread.
  [[nodiscard]] bool took_over() const { return took_over_; }

  /// Ends `read`; called by another thread.
  void cancel() {
    const std::scoped_lock lock(mutex_);
    cancelled_ = true;
    active_->cancel();
  }

 private:
  using Position = std::map<std::string, std::int64_t>;  ///< Step -> time of its last output.

  void add_spare() { spares_.push_back(std::make_shared<StatusCall>(*reserve_, ref_)); }

  bool take_over() {
    add_spare();
    std::shared_ptr<StatusCall> astray = spares_.front();
    spares_.pop_front();
    bool go_on = false;
    {
      const std::scoped_lock lock(mutex_);
      std::swap(active_, astray);
      go_on = !cancelled_;
    }
    astray->cancel();
    took_over_ = true;
    delivered_ = reached_;
    overlap_seen_ = false;
    return go_on;
  }

  /// Takes out what was delivered already, and remembers what is delivered now. False when a stream
  /// that took over begins behind the place where the last one ended.
  bool note(wire::StatusResponse& message) {
    bool whole = true;
    auto& logs = *message.mutable_logs();
    const auto time = [](const wire::VertexLog& log) {
      return log.timestamp().seconds() * 1'000'000'000 + log.timestamp().nanos();
    };
    logs.erase(std::remove_if(logs.begin(), logs.end(),
                              [&](const wire::VertexLog& log) {
                                const auto known = delivered_.find(log.vertex());
                                const bool old =
                                    known != delivered_.end() && time(log) <= known->second;
                                overlap_seen_ = overlap_seen_ || old;
                                return old;
                              }),
               logs.end());
    for (const wire::VertexLog& log : logs) {
      whole = whole && (overlap_seen_ || delivered_.empty());
      reached_[log.vertex()] = time(log);
    }
    backlog_ += output_of(message);
    overlap_seen_ = overlap_seen_ || !whole;  // Said once.
    if (spares_.size() > 1 && spares_.back()->age() > k_registration_limit) {
      spares_.pop_front();
    }
    if (backlog_ > k_backlog_limit && spares_.size() == 1) {
      backlog_ = 0;
      add_spare();
    }
    return whole;
  }

  std::unique_ptr<wire::Control::Stub> reserve_;
  const std::string ref_;
  std::mutex mutex_;  // Guards the next two.
  bool cancelled_ = false;
  // Shared with a cancel under way.
  std::shared_ptr<StatusCall> active_;
  std::deque<std::shared_ptr<StatusCall>> spares_;
  Position reached_;
  Position delivered_;  ///< By the streams before the active one.
  bool overlap_seen_ = false;
  std::atomic<bool> took_over_ = false;
  std::size_t backlog_ = 0;
};

/// The progress stream of one solve on a thread of its own.
class StatusReader {
 public:
  StatusReader(wire::Control::Stub& control, const std::shared_ptr<grpc::Channel>& reserve,
               const std::string& ref, Progress& progress)
      : started_(Clock::now()),
        stream_(control, reserve, ref),
        thread_([this, &progress] { run(progress); }) {}

  ~StatusReader() { stream_.cancel(); }

  StatusReader(const StatusReader&) = delete;
  StatusReader& operator=(const StatusReader&) = delete;

  /// Waits for the end of the stream; cancels it when it says nothing for too long. A receiver that
  /// is busy with an event is never too long: output must not be lost because the log is slow.
  void finish() {
    std::unique_lock lock(mutex_);
    Clock::time_point quiet_since = Clock::now();
    std::size_t seen = messages_;
    while (!ended_) {
      const auto limit = messages_ == 0        ? Clock::duration(k_refused_limit)
                         : stream_.took_over() ? Clock::duration(k_spare_limit)
                                               : k_tail_limit;
      if (applying_ || messages_ != seen) {
        seen = messages_;
        quiet_since = Clock::now();
      }
      const auto until = (applying_ ? Clock::now() : quiet_since) + limit;
      if (changed_.wait_until(lock, until) == std::cv_status::timeout && !ended_ && !applying_ &&
          messages_ == seen) {
        stream_.cancel();
        changed_.wait(lock, [this] { return ended_; });
      }
    }
  }

  [[nodiscard]] std::optional<Clock::duration> first_message() {
    const std::scoped_lock lock(mutex_);
    return first_message_;
  }

 private:
  void run(Progress& progress) {
    StatusStream::Message message;
    while (stream_.read(message)) {
      set_applying(true);
      if (message.after_gap) {
        progress.gap();
      }
      progress.apply(message.content, message.is_first_part);
      set_applying(false);
    }
    if (messages_ > 0 && !stream_.is_whole()) {
      progress.broke_off();
    }
    progress.finish();
    const std::scoped_lock lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  void set_applying(bool applying) {
    const std::scoped_lock lock(mutex_);
    applying_ = applying;
    if (applying && messages_++ == 0) {
      first_message_ = Clock::now() - started_;
    }
    changed_.notify_all();
  }

  Clock::time_point started_;
  StatusStream stream_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t messages_ = 0;
  bool applying_ = false;
  bool ended_ = false;
  std::optional<Clock::duration> first_message_;
  std::jthread thread_;  // Last: it uses all of the above.
};

std::chrono::microseconds since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
}

}  // namespace

SolveOutcome run_solve(const std::shared_ptr<grpc::Channel>& channel,
                       const std::shared_ptr<grpc::Channel>& reserve, const ports::JobContext& job,
                       const wire::SolveRequest& request, Progress& progress) {
  SolveOutcome outcome;
  const std::unique_ptr<wire::Control::Stub> control = wire::Control::NewStub(channel);
  grpc::ClientContext context;
  if (job.deadline != SteadyTime::max()) {
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::system_clock::duration>(
                             job.deadline - Clock::now()));
  }
  const Clock::time_point begin = Clock::now();
  StatusReader status(*control, reserve, request.ref(), progress);
  {
    const std::stop_callback cancel(job.stop, [&context] { context.TryCancel(); });
    outcome.status = control->Solve(&context, request, &outcome.response);
  }
  outcome.solve = since(begin);
  const Clock::time_point solved = Clock::now();
  status.finish();
  outcome.tail = since(solved);
  outcome.first_status = std::chrono::duration_cast<std::chrono::microseconds>(
      status.first_message().value_or(Clock::duration::zero()));
  return outcome;
}

}  // namespace builder::adapters::buildkit
