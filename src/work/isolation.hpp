#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>

namespace builder::work {

/// Keeps a deployment that ends its worker from taking its neighbours with it, again and again
/// until they count as lost. One whose worker was lost is a suspect: what a stranger wrote is read
/// of it while nothing else runs here, one suspect after another; then they build side by side. In
/// its last attempt it is alone from beginning to end. An attempt counts from the moment a job is
/// taken: none is taken while one of these waits or is read. Thread-safe.
class Isolation {
 public:
  enum class Kind {
    ordinary,
    suspect,  ///< Its worker was lost.
    last,     ///< Its workers were lost; no further attempt follows.
  };

  /// A deployment that was taken, until it has ended. Used by one thread at a time.
  class Pass {
   public:
    Pass(Isolation& isolation, Kind kind);
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass();

    /// Waits until the deployment may begin; a stop ends the waiting. Called once.
    void begin(const std::stop_token& stop);
    /// What a stranger wrote is read. A suspect waits for those that are not that far.
    void cleared(const std::stop_token& stop);
    /// It builds nothing any more, though it has not ended.
    void rest();

   private:
    enum class State { waiting, running, reading, alone, cleared, resting };

    void enter(State state);
    void leave();

    Isolation& isolation_;
    const Kind kind_;
    State state_ = State::waiting;
  };

  /// No job may be taken now.
  [[nodiscard]] bool is_closed() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::size_t running_ = 0;   ///< Beside them nothing is read of suspects.
  std::size_t suspects_ = 0;  ///< Not cleared yet.
  std::size_t lasts_ = 0;     ///< In their last attempt.
  std::size_t cleared_ = 0;   ///< Suspects that wait for others.
  bool occupied_ = false;     ///< One is read, or alone.
};

}  // namespace builder::work
