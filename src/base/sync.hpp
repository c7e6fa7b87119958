#pragma once

#include <mutex>
#include <utility>

namespace builder {

/// Data that can only be reached with its lock held: `auto s = state.lock(); s->count++;`.
/// Never hold the guard across I/O or a callback.
template <class T>
class Sync {
 public:
  class Guard {
   public:
    explicit Guard(Sync& owner) : lock_(owner.mutex_), value_(owner.value_) {}

    T* operator->() { return &value_; }

    T& operator*() { return value_; }

   private:
    std::scoped_lock<std::mutex> lock_;
    T& value_;
  };

  template <class... Args>
  explicit Sync(Args&&... args) : value_(std::forward<Args>(args)...) {}

  [[nodiscard]] Guard lock() { return Guard(*this); }

 private:
  std::mutex mutex_;
  T value_;
};

}  // namespace builder
