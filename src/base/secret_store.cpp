#include "base/secret_store.hpp"

#include "base/guessing.hpp"

namespace builder {

bool is_unguessable(std::string_view value) {
  constexpr std::size_t k_long = 16;
  constexpr double k_bits = 60;
  return value.size() >= k_long && guessing_bits(value) >= k_bits;
}

SecretStore::Registration::~Registration() {
  if (store_ != nullptr) {
    store_->remove(key_);
  }
}

std::shared_ptr<const Redactor> SecretStore::Registration::redactor() const {
  const std::scoped_lock lock(store_->mutex_);
  return store_->entries_.at(key_).redactor;
}

SecretStore::Registration SecretStore::add_deployment(std::vector<NamedSecret> secrets) {
  return enter(std::move(secrets), true);
}

SecretStore::Registration SecretStore::add(std::vector<NamedSecret> secrets) {
  return enter(std::move(secrets), false);
}

std::vector<std::string> SecretStore::add_forever(std::vector<NamedSecret> secrets) {
  Registration registration = enter(std::move(secrets), false);
  const std::scoped_lock lock(mutex_);
  const Redactor& redactor = *entries_.at(registration.key_).redactor;
  registration.store_ = nullptr;
  std::vector<std::string> names = redactor.skipped();
  names.insert(names.end(), redactor.beyond().begin(), redactor.beyond().end());
  return names;
}

SecretStore::Registration SecretStore::enter(std::vector<NamedSecret> secrets, bool is_deployment) {
  const std::scoped_lock lock(mutex_);
  const std::uint64_t key = next_key_++;
  Entry& entry = entries_[key];
  entry = {.secrets = std::move(secrets), .is_deployment = is_deployment, .redactor = nullptr};
  make_redactor(entry);
  if (!is_deployment) {
    make_redactors();
  }
  return {this, key};
}

void SecretStore::remove(std::uint64_t key) {
  const std::scoped_lock lock(mutex_);
  const bool is_deployment = entries_.at(key).is_deployment;
  entries_.erase(key);
  if (!is_deployment) {
    make_redactors();
  }
}

std::vector<NamedSecret> SecretStore::unguessable_of_worker() const {
  const std::scoped_lock lock(mutex_);
  return unguessable();
}

std::vector<NamedSecret> SecretStore::unguessable() const {
  std::vector<NamedSecret> secrets;
  for (const auto& [key, entry] : entries_) {
    if (entry.is_deployment) {
      continue;
    }
    for (const NamedSecret& secret : entry.secrets) {
      if (is_unguessable(secret.value.reveal())) {
        secrets.push_back(secret);
      }
    }
  }
  return secrets;
}

void SecretStore::make_redactor(Entry& entry) const {
  std::vector<NamedSecret> secrets =
      entry.is_deployment ? unguessable() : std::vector<NamedSecret>();
  secrets.insert(secrets.end(), entry.secrets.begin(), entry.secrets.end());
  entry.redactor = std::make_shared<const Redactor>(secrets);
}

/// The worker's secrets are others than before.
void SecretStore::make_redactors() {
  for (auto& [key, entry] : entries_) {
    if (entry.is_deployment) {
      make_redactor(entry);
    }
  }
}

std::string SecretStore::redact(std::string_view text) const {
  std::vector<std::shared_ptr<const Redactor>> redactors;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [key, entry] : entries_) {
      redactors.push_back(entry.redactor);
    }
  }
  std::vector<Redactor::Region> regions = shapes_.find(text);
  for (const auto& redactor : redactors) {
    for (const Redactor::Region& region : redactor->find(text)) {
      add_region(regions, region);
    }
  }
  return replace_regions(text, regions);
}

}  // namespace builder
