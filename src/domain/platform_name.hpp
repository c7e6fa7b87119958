#pragma once

#include <string>
#include <string_view>

namespace builder::domain {

/// What is wrong with the platform of one build (`OS/ARCH[/VARIANT]`), to stand behind its name;
/// empty when nothing is, and for the empty one, which is the default.
std::string platform_fault(std::string_view platform);

/// Whether two platforms are of the same system and machine, whatever they are called and whatever
/// the variant.
bool is_same_machine(std::string_view left, std::string_view right);

}  // namespace builder::domain
