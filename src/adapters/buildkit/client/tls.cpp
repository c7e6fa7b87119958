#include "adapters/buildkit/client/tls.hpp"

#include "base/deleter.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <poll.h>

#include <array>
#include <fstream>
#include <memory>
#include <span>
#include <sstream>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Context = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Deleter<SSL_free>>;

Bio bio_of(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::vector<Certificate> certificates_of(const std::string& pem) {
  std::vector<Certificate> found;
  const Bio bio = bio_of(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    found.emplace_back(certificate);
  }
  ERR_clear_error();
  return found;
}

/// An encrypted key has no password to be asked for.
int no_password(char*, int, int, void*) {
  return 0;
}

Key key_of(const std::string& pem) {
  Key key(PEM_read_bio_PrivateKey(bio_of(pem).get(), nullptr, &no_password, nullptr));
  ERR_clear_error();
  return key;
}

Result<std::string> read_named(std::string_view variable, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return failure(ErrorKind::invalid_input, fmt::format("{}: {} cannot be read", variable, path));
  }
  return std::move(text).str();
}

std::unexpected<Error> wrong(std::string_view variable, std::string_view path,
                             std::string_view what) {
  return failure(ErrorKind::invalid_input, fmt::format("{}: {} {}", variable, path, what));
}

Context context_for(const TlsSettings& tls) {
  Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (tls.ca.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
  }
  for (const Certificate& authority : certificates_of(tls.ca)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), authority.get());
  }
  std::vector<Certificate> chain = certificates_of(tls.certificate);
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (i == 0) {
      SSL_CTX_use_certificate(context.get(), chain[i].get());
    } else {
      SSL_CTX_add1_chain_cert(context.get(), chain[i].get());
    }
  }
  if (const Key key = key_of(tls.key.reveal())) {
    SSL_CTX_use_PrivateKey(context.get(), key.get());
  }
  return context;
}

/// Repeats a call of the library until it is done; false when it failed or time was up.
template <class Call>
bool drive(SSL* ssl, int fd, const StopFd& stop, SteadyTime deadline, Call call) {
  for (;;) {
    const int result = call();
    if (result > 0) {
      return true;
    }
    const int why = SSL_get_error(ssl, result);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
      return false;
    }
    pollfd entry{.fd = fd,
                 .events = static_cast<short>(why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT),
                 .revents = 0};
    if (wait_any(std::span(&entry, 1), stop, deadline) != WaitResult::ready) {
      return false;
    }
  }
}

std::optional<std::string> reason_of(SSL* ssl) {
  const unsigned long error = ERR_peek_error();
  const long verified = SSL_get_verify_result(ssl);
  if (verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    return "its certificate is for another name: check BUILDKIT_TLS_SERVER_NAME";
  }
  if (verified != X509_V_OK) {
    return fmt::format("its certificate is not accepted ({}): check BUILDKIT_TLS_CA",
                       X509_verify_cert_error_string(verified));
  }
  if (error == 0) {
    return std::nullopt;
  }
  const char* const text = ERR_reason_error_string(error);
  const std::string_view words = text == nullptr ? "TLS failed" : text;
  if (words.contains("alert")) {
    return fmt::format(
        "it refuses our certificate ({}): check BUILDKIT_TLS_CERT and BUILDKIT_TLS_KEY", words);
  }
  if (words.contains("wrong version number") || words.contains("packet length")) {
    return "it does not speak TLS: remove BUILDKIT_TLS_CA, BUILDKIT_TLS_CERT and BUILDKIT_TLS_KEY, "
           "or switch TLS on there";
  }
  return fmt::format("TLS failed: {}", words);
}

}  // namespace

Result<TlsSettings> read_tls_files(const TlsFiles& files) {
  TlsSettings tls;
  tls.server_name = files.server_name;
  if (!files.ca.empty()) {
    BUILDER_TRY_ASSIGN(tls.ca, read_named("BUILDKIT_TLS_CA", files.ca));
    if (certificates_of(tls.ca).empty()) {
      return wrong("BUILDKIT_TLS_CA", files.ca, "holds no certificate in PEM form");
    }
  }
  if (files.certificate.empty()) {
    return tls;
  }
  BUILDER_TRY_ASSIGN(tls.certificate, read_named("BUILDKIT_TLS_CERT", files.certificate));
  const auto chain = certificates_of(tls.certificate);
  if (chain.empty()) {
    return wrong("BUILDKIT_TLS_CERT", files.certificate, "holds no certificate in PEM form");
  }
  BUILDER_TRY_ASSIGN(std::string key_text, read_named("BUILDKIT_TLS_KEY", files.key));
  tls.key = Secret(std::move(key_text));
  const Key key = key_of(tls.key.reveal());
  if (!key) {
    return wrong("BUILDKIT_TLS_KEY", files.key, "holds no unencrypted key in PEM form");
  }
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    return wrong("BUILDKIT_TLS_KEY", files.key, "does not belong to BUILDKIT_TLS_CERT");
  }
  return tls;
}

std::optional<std::string> tls_trouble(const EngineAddress& address, const TlsSettings& tls,
                                       const StopFd& stop, SteadyTime deadline) {
  const auto fd = connect_engine(address, stop, deadline);
  if (!fd) {
    return std::nullopt;
  }
  ERR_clear_error();
  const Context context = context_for(tls);
  const Ssl ssl(SSL_new(context.get()));
  const std::string& name = tls.server_name.empty() ? address.host : tls.server_name;
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), name.c_str()) != 1) {
    SSL_set1_host(ssl.get(), name.c_str());
    // The macro for this casts the C way.
    SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(name.c_str()));
  }
  constexpr std::array<unsigned char, 3> k_protocols{2, 'h', '2'};
  SSL_set_alpn_protos(ssl.get(), k_protocols.data(), k_protocols.size());
  SSL_set_fd(ssl.get(), fd->get());
  ERR_clear_error();
  if (!drive(ssl.get(), fd->get(), stop, deadline, [&] { return SSL_connect(ssl.get()); })) {
    return reason_of(ssl.get());
  }
  // With TLS 1.3 a refusal of our certificate comes behind the handshake; the daemon's first frame
  // comes when it is accepted.
  std::array<char, 16> first{};
  if (!drive(ssl.get(), fd->get(), stop, deadline,
             [&] { return SSL_read(ssl.get(), first.data(), first.size()); })) {
    return reason_of(ssl.get());
  }
  return std::nullopt;
}

bool speaks_tls(const EngineAddress& address, const StopFd& stop, SteadyTime deadline) {
  const auto fd = connect_engine(address, stop, deadline);
  if (!fd) {
    return false;
  }
  const Context context(SSL_CTX_new(TLS_client_method()));
  const Ssl ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), fd->get());
  ERR_clear_error();
  drive(ssl.get(), fd->get(), stop, deadline, [&] { return SSL_connect(ssl.get()); });
  ERR_clear_error();
  // Our own refusal of its certificate does not matter here.
  return SSL_get0_peer_certificate(ssl.get()) != nullptr;
}

}  // namespace builder::adapters::buildkit
