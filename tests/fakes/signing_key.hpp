#pragma once

namespace builder::fakes {

/// Made for the tests: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
inline constexpr const char* k_signing_key = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJ2dmzSnf9+OEteZi
ln4K4/wAA1zGgDMgWmzq+yxXnZKhRANCAATbxATGzofyyFXojPl0AgeGYVlvRwXB
CEeLyC7+kpjI2X2s6FVpClP0Pbuc8Zal5sKOPnNw9+yafidAdmXDZX7M
-----END PRIVATE KEY-----
)";

}  // namespace builder::fakes
