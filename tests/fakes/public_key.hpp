#pragma once

namespace builder::fakes {

/// Of `k_signing_key`.
inline constexpr const char* k_public_key = R"(-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE28QExs6H8shV6Iz5dAIHhmFZb0cF
wQhHi8gu/pKYyNl9rOhVaQpT9D27nPGWpebCjj5zcPfsmn4nQHZlw2V+zA==
-----END PUBLIC KEY-----
)";

}  // namespace builder::fakes
