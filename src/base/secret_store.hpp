#pragma once

#include "base/redactor.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace builder {

/// The secrets the process knows at the moment: its own, and those of the jobs under way.
/// Thread-safe.
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

   private:
    friend class SecretStore;

    Registration(SecretStore* store, std::uint64_t key) : store_(store), key_(key) {}

    SecretStore* store_ = nullptr;
    std::uint64_t key_ = 0;
  };

  [[nodiscard]] Registration add(std::vector<NamedSecret> secrets);
  /// Keeps secrets for the life of the process.
  void add_forever(std::vector<NamedSecret> secrets);

  /// The redactor for what is known now.
  [[nodiscard]] std::shared_ptr<const Redactor> redactor() const;

 private:
  void rebuild();

  mutable std::mutex mutex_;
  std::uint64_t next_key_ = 1;
  std::map<std::uint64_t, std::vector<NamedSecret>> secrets_;
  // Shared with the lines that are being redacted while the set changes.
  std::shared_ptr<const Redactor> redactor_ =
      std::make_shared<Redactor>(std::vector<NamedSecret>());
};

}  // namespace builder
