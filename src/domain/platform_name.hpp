#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace builder::domain {

/// What is wrong with the platform of one build (`OS/ARCH[/VARIANT]`), to stand behind its name;
/// empty when nothing is, and for the empty one, which is the default.
std::string platform_fault(std::string_view platform);

/// The platforms of a list with commas between them; an empty one where a name is missing.
std::vector<std::string> platforms_in(std::string_view list);

/// Whether two platforms are of the same system and machine, whatever they are called and whatever
/// the variant.
bool is_same_machine(std::string_view left, std::string_view right);

}  // namespace builder::domain
