#pragma once

#include "base/redactor.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder {

/// Whether the value cannot be found by guessing: it is long and not made of words.
bool is_unguessable(std::string_view value);

/// The secrets that the process knows now: its own, and those of the running deployments. The
/// service log hides all of them. The log of a deployment hides that deployment's secrets, and the
/// worker's if they cannot be guessed. It must not hide guessable ones: a build that prints a list
/// of words would see which of them disappear. Thread-safe.
class SecretStore {
 public:
  /// Keeps its secrets in the store as long as it lives; must not outlive the store.
  class Registration {
   public:
    Registration() = default;

    Registration(Registration&& other) noexcept
        : store_(std::exchange(other.store_, nullptr)), key_(other.key_) {}

    Registration& operator=(Registration&& other) noexcept {
      std::swap(store_, other.store_);
      std::swap(key_, other.key_);
      return *this;
    }

    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    ~Registration();

    /// Redacts the log of this deployment: its own secrets, and those the worker has now. Not for
    /// the worker's own secrets.
    [[nodiscard]] std::shared_ptr<const Redactor> redactor() const;

   private:
    friend class SecretStore;

    Registration(SecretStore* store, std::uint64_t key) : store_(store), key_(key) {}

    SecretStore* store_ = nullptr;
    std::uint64_t key_ = 0;
  };

  [[nodiscard]] Registration add_deployment(std::vector<NamedSecret> secrets);
  /// Secrets of the worker.
  [[nodiscard]] Registration add(std::vector<NamedSecret> secrets);
  /// Keeps them for the life of the process. Returns the names of those that cannot be hidden.
  std::vector<std::string> add_forever(std::vector<NamedSecret> secrets);

  /// Those of the worker's own that every deployment's log hides.
  [[nodiscard]] std::vector<NamedSecret> unguessable_of_worker() const;

  /// `text` without any secret that is known now.
  [[nodiscard]] std::string redact(std::string_view text) const;

 private:
  struct Entry {
    std::vector<NamedSecret> secrets;
    bool is_deployment = false;
    std::shared_ptr<const Redactor> redactor;
  };

  Registration enter(std::vector<NamedSecret> secrets, bool is_deployment);
  void remove(std::uint64_t key);
  [[nodiscard]] std::vector<NamedSecret> unguessable() const;
  void make_redactor(Entry& entry) const;
  void make_redactors();

  mutable std::mutex mutex_;
  std::uint64_t next_key_ = 1;
  std::map<std::uint64_t, Entry> entries_;
  const Redactor shapes_{std::vector<NamedSecret>()};  ///< Where there is no entry yet.
};

}  // namespace builder
