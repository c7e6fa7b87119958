#pragma once

#include "adapters/buildkit/client/http_upgrade.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/stop.hpp"

#include <optional>
#include <string>

namespace builder::adapters::buildkit {

/// PEM texts, read once.
struct TlsSettings {
  std::string ca;  ///< Empty: the system's authorities.
  std::string certificate;
  Secret key;
  std::string server_name;  ///< Empty: the host of the address.
};

/// The files named by BUILDKIT_TLS_CA, BUILDKIT_TLS_CERT and BUILDKIT_TLS_KEY.
struct TlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;
  std::string server_name;
};

/// Reads them; the error names the variable whose file is missing, not PEM, or does not belong to
/// the other one.
Result<TlsSettings> read_tls_files(const TlsFiles& files);

/// Why a TLS connection to the daemon does not come about, found out by trying: gRPC only says that
/// a socket was closed. nullopt: TLS is not what is wrong.
std::optional<std::string> tls_trouble(const EngineAddress& address, const TlsSettings& tls,
                                       const StopFd& stop, SteadyTime deadline);

/// Whether the daemon answers a TLS greeting: then a plain connection cannot work.
bool speaks_tls(const EngineAddress& address, const StopFd& stop, SteadyTime deadline);

}  // namespace builder::adapters::buildkit
