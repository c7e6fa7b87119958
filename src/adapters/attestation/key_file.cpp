#include "adapters/attestation/key_file.hpp"

#include "adapters/attestation/ec_key.hpp"
#include "adapters/attestation/encrypted_key.hpp"
#include "base/deleter.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace builder::adapters::attestation {

namespace {

using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Digesting = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;

using Key = std::shared_ptr<EVP_PKEY>;

/// What OpenSSL asks for the password of an encrypted key, in place of the terminal.
int give_password(char* buffer, int size, int /*writing*/, void* password) {
  const std::string& text = static_cast<const Secret*>(password)->reveal();
  const std::size_t length = std::min(text.size(), static_cast<std::size_t>(size));
  std::copy_n(text.data(), length, buffer);
  return static_cast<int>(length);
}

/// What OpenSSL took for a block of PEM.
struct PemBlock {
  PemBlock() = default;
  PemBlock(const PemBlock&) = delete;
  PemBlock& operator=(const PemBlock&) = delete;

  ~PemBlock() {
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }

  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
};

Result<Key> open_cosign_key(BIO* bio, const Secret& password) {
  PemBlock block;
  if (PEM_read_bio(bio, &block.name, &block.header, &block.data, &block.size) != 1) {
    return failure(ErrorKind::invalid_input, "holds a damaged encrypted key");
  }
  const std::string_view text(reinterpret_cast<const char*>(block.data),
                              static_cast<std::size_t>(block.size));
  BUILDER_TRY_ASSIGN(const Secret der, decrypt_cosign_key(text, password));
  const auto* at = reinterpret_cast<const unsigned char*>(der.reveal().data());
  return Key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.reveal().size())),
             &EVP_PKEY_free);
}

std::unexpected<Error> no_signature(std::string_view what) {
  ERR_clear_error();
  return std::unexpected(
      Error{.kind = ErrorKind::internal, .message = std::string(what)}.for_operator("SIGNING_KEY"));
}

class KeySigner final : public ports::Signer {
 public:
  explicit KeySigner(PrivateKey key) : key_(std::move(key)) {}

  Result<std::string> sign(const ports::JobContext& /*job*/, std::string_view message) override {
    const Digesting context(EVP_MD_CTX_new());
    const auto* const bytes = reinterpret_cast<const unsigned char*>(message.data());
    std::size_t length = 0;
    if (context == nullptr ||
        EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
        EVP_DigestSign(context.get(), nullptr, &length, bytes, message.size()) != 1) {
      return no_signature("the key does not sign");
    }
    std::string signature(length, '\0');
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                       bytes, message.size()) != 1) {
      return no_signature("the key does not sign");
    }
    signature.resize(length);
    return signature;
  }

  Result<std::string> public_key(const ports::JobContext& /*job*/) override {
    const int length = i2d_PUBKEY(key_.get(), nullptr);
    if (length <= 0) {
      return no_signature("the key has no public half");
    }
    std::string der(static_cast<std::size_t>(length), '\0');
    auto* out = reinterpret_cast<unsigned char*>(der.data());
    i2d_PUBKEY(key_.get(), &out);
    return der;
  }

 private:
  const PrivateKey key_;
};

}  // namespace

Result<PrivateKey> PrivateKey::parse(const Secret& pem, const Secret& password) {
  const std::string& text = pem.reveal();
  constexpr std::size_t k_longest = 64 << 10;
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(std::min(text.size(), k_longest))));
  if (password.empty() && text.contains("ENCRYPTED")) {
    return failure(ErrorKind::invalid_input, "holds an encrypted key: set SIGNING_KEY_PASSWORD");
  }
  Key key;
  if (text.contains("ENCRYPTED SIGSTORE") || text.contains("ENCRYPTED COSIGN")) {
    BUILDER_TRY_ASSIGN(key, open_cosign_key(bio.get(), password));
  } else {
    Secret word = password;  // OpenSSL wants a pointer that may be written to.
    key = Key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &give_password, &word), &EVP_PKEY_free);
  }
  ERR_clear_error();
  if (key == nullptr) {
    return failure(ErrorKind::invalid_input,
                   text.contains("ENCRYPTED")
                       ? "holds an encrypted key, and SIGNING_KEY_PASSWORD is not its password"
                       : "holds no private key in PEM");
  }
  if (!is_on_p256(key.get())) {
    return failure(ErrorKind::invalid_input,
                   "holds a key of another kind than ECDSA on P-256 (prime256v1)");
  }
  return PrivateKey(std::move(key));
}

std::unique_ptr<ports::Signer> make_key_signer(PrivateKey key) {
  return std::make_unique<KeySigner>(std::move(key));
}

}  // namespace builder::adapters::attestation
