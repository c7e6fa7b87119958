#include "build/early_publish.hpp"

#include <algorithm>
#include <future>
#include <mutex>
#include <set>
#include <utility>
#include <variant>

namespace builder::build {

namespace {

using Clock = std::chrono::steady_clock;
using ports::SourceTree;

/// A tree that comes later: every look at it waits until it is there, or until it is known that it
/// never will be.
class DeferredTree final : public SourceTree {
 public:
  struct Source {
    std::shared_ptr<const SourceTree> tree;
    ports::SourceCommit commit;
  };

  /// The first call decides.
  void deliver(Result<Source> source) {
    std::call_once(delivered_, [&] { promise_.set_value(std::move(source)); });
  }

  [[nodiscard]] Result<ports::SourceCommit> commit() const {
    BUILDER_TRY_ASSIGN(const auto source, source_.get());
    return source.commit;
  }

  Result<std::vector<ports::DirectoryEntry>> list(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const auto source, source_.get());
    return source.tree->list(path);
  }

  Result<ports::FileInfo> stat(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const auto source, source_.get());
    return source.tree->stat(path);
  }

  Result<std::unique_ptr<ports::FileReader>> open(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const auto source, source_.get());
    return source.tree->open(path);
  }

  Result<std::string> read_link(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const auto source, source_.get());
    return source.tree->read_link(path);
  }

 private:
  std::once_flag delivered_;
  std::promise<Result<Source>> promise_;
  std::shared_future<Result<Source>> source_ = promise_.get_future();
};

/// Steps that began before the source was there do not count the wait for it.
class FromDelivery final : public domain::EventSink {
 public:
  explicit FromDelivery(domain::EventSink& events) : events_(events) {}

  void delivered() {
    const std::scoped_lock lock(mutex_);
    delivered_at_ = Clock::now();
  }

  /// What is not asked for is not told about either.
  void abandoned() {
    const std::scoped_lock lock(mutex_);
    silent_ = !delivered_at_;
  }

  void emit(domain::BuildEvent event) override {
    {
      const std::scoped_lock lock(mutex_);
      if (silent_) {
        return;
      }
      if (const auto* started = std::get_if<domain::StepStarted>(&event);
          started != nullptr && !delivered_at_) {
        early_.insert(started->step);
      }
      if (auto* finished = std::get_if<domain::StepFinished>(&event);
          finished != nullptr && delivered_at_ && early_.contains(finished->step)) {
        finished->duration =
            std::min(finished->duration,
                     std::chrono::ceil<std::chrono::milliseconds>(Clock::now() - *delivered_at_));
      }
    }
    events_.emit(std::move(event));
  }

 private:
  domain::EventSink& events_;
  std::mutex mutex_;
  std::optional<Clock::time_point> delivered_at_;
  bool silent_ = false;
  std::set<std::uint32_t> early_;
};

std::unexpected<Error> not_wanted() {
  return failure(ErrorKind::cancelled, "the build was not asked for");
}

}  // namespace

class EarlyPublish::State {
 public:
  State(Ports ports, const ports::JobContext& job, ports::ImageSpec image,
        std::function<Result<>(ports::ImageSpec&)> complete)
      : events_(ports.events), forward_(job.stop, [this] { abandon(); }), spec_(std::move(image)) {
    spec_.context = context_;
    spec_.dockerfile_tree = dockerfile_tree_;
    spec_.commit = [tree = context_] { return tree->commit(); };
    ports::JobContext own = job;
    own.stop = stop_.get_token();
    result_ = std::async(std::launch::async,
                         [this, &builder = ports.image, own, complete = std::move(complete)] {
                           return run(builder, own, complete);
                         });
  }

  ~State() { abandon(); }  // The future's destructor waits for the thread.

  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Result<ports::PublishResult> finish(std::shared_ptr<const SourceTree> context,
                                      std::shared_ptr<const SourceTree> dockerfile_tree,
                                      const ports::SourceCommit& commit) {
    const auto delivered = Clock::now();
    events_.delivered();
    dockerfile_tree_->deliver(
        DeferredTree::Source{.tree = std::move(dockerfile_tree), .commit = commit});
    context_->deliver(DeferredTree::Source{.tree = std::move(context), .commit = commit});
    Result<ports::PublishResult> result = result_.get();
    if (result) {
      ports::PublishFigures& figures = result->figures;
      figures.build = std::min(figures.build, Clock::now() - delivered - figures.push);
    }
    return result;
  }

 private:
  Result<ports::PublishResult> run(ports::ImageBuilder& image, const ports::JobContext& job,
                                   const std::function<Result<>(ports::ImageSpec&)>& complete) {
    ports::ImageSpec spec = spec_;
    BUILDER_TRY(complete(spec));
    return image.publish(job, spec, events_);
  }

  void abandon() {
    events_.abandoned();
    stop_.request_stop();
    dockerfile_tree_->deliver(not_wanted());
    context_->deliver(not_wanted());
  }

  FromDelivery events_;
  std::stop_source stop_;
  // Shared with the engine's transfer threads.
  std::shared_ptr<DeferredTree> context_ = std::make_shared<DeferredTree>();
  std::shared_ptr<DeferredTree> dockerfile_tree_ = std::make_shared<DeferredTree>();
  std::stop_callback<std::function<void()>> forward_;
  ports::ImageSpec spec_;
  std::future<Result<ports::PublishResult>> result_;
};

EarlyPublish::EarlyPublish(Ports ports, const ports::JobContext& job, ports::ImageSpec image,
                           std::function<Result<>(ports::ImageSpec&)> complete)
    : state_(std::make_unique<State>(ports, job, std::move(image), std::move(complete))) {
}

EarlyPublish::~EarlyPublish() = default;

Result<ports::PublishResult> EarlyPublish::finish(std::shared_ptr<const SourceTree> context,
                                                  std::shared_ptr<const SourceTree> dockerfile_tree,
                                                  const ports::SourceCommit& commit) {
  return state_->finish(std::move(context), std::move(dockerfile_tree), commit);
}

}  // namespace builder::build
