#pragma once

#include "app/config/config.hpp"
#include "app/config/setting_values.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace builder::app {

/// A setting. Its default is the text in its row, unless the struct that the value goes to has one:
/// then the row shows that.
struct Setting {
  std::string_view name;
  Concern concern;
  std::string fallback;
  bool secret;
  std::string_view help;
  ValueReader apply;
};

/// Settings that are worked up into others when all are read.
struct RawSettings {
  std::string ecr_endpoint;
  std::string any_endpoint;
  std::string default_region;
  std::string profile;  ///< Looked up with the other variables of the credentials.
  adapters::buildkit::TlsFiles tls;
  std::string docker_tls;
  std::string docker_certificates;
  std::string docker_context;
  std::string kms_endpoint;
  std::string signing_key;  ///< A file, or a key of AWS KMS.
  Secret signing_key_password;
};

/// All settings, as `config` shows them. The arguments outlive the rows.
std::vector<Setting> setting_rows(Config& config, RawSettings& raw);

}  // namespace builder::app
