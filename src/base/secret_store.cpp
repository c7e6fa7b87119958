#include "base/secret_store.hpp"

#include <utility>

namespace builder {

SecretStore::Registration::~Registration() {
  if (store_ != nullptr) {
    const std::scoped_lock lock(store_->mutex_);
    store_->secrets_.erase(key_);
    store_->rebuild();
  }
}

SecretStore::Registration SecretStore::add(std::vector<NamedSecret> secrets) {
  const std::scoped_lock lock(mutex_);
  const std::uint64_t key = next_key_++;
  secrets_[key] = std::move(secrets);
  rebuild();
  return {this, key};
}

void SecretStore::add_forever(std::vector<NamedSecret> secrets) {
  const std::scoped_lock lock(mutex_);
  secrets_[next_key_++] = std::move(secrets);
  rebuild();
}

std::shared_ptr<const Redactor> SecretStore::redactor() const {
  const std::scoped_lock lock(mutex_);
  return redactor_;
}

void SecretStore::rebuild() {
  std::vector<NamedSecret> all;
  for (const auto& [key, secrets] : secrets_) {
    all.insert(all.end(), secrets.begin(), secrets.end());
  }
  redactor_ = std::make_shared<Redactor>(all);
}

}  // namespace builder
