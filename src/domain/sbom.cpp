#include "domain/sbom.hpp"

#include "base/json.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <iterator>
#include <optional>

namespace builder::domain {

namespace {

using nlohmann::json;

/// Goes over a text and tells how far it is.
class Walk {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Walk(const char* at, const char** told) : at_(at), told_(told) {}

  reference operator*() const { return *at_; }

  Walk& operator++() {
    ++at_;
    *told_ = at_;
    return *this;
  }

  Walk operator++(int) {
    Walk before = *this;
    ++*this;
    return before;
  }

  bool operator==(const Walk& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** told_;
};

/// What kind of document an object is, by its own fields.
struct Marks {
  bool is_spdx = false;
  bool is_cyclonedx = false;

  void see(std::string_view key, std::string_view value) {
    is_spdx |= key == "spdxVersion" && value.starts_with("SPDX-2");
    is_cyclonedx |= key == "bomFormat" && value == "CycloneDX";
  }

  [[nodiscard]] std::optional<std::string_view> type() const {
    return is_spdx == is_cyclonedx ? std::nullopt
                                   : std::optional(is_spdx ? k_spdx_type : k_cyclonedx_type);
  }
};

/// Sees the values of the outermost object, and of its `predicate`.
class Reader final : public nlohmann::json_sax<json> {
 public:
  explicit Reader(std::string_view text) : text_(text), at_(text.data()) {}

  Result<Sbom> read() {
    if (nests_deeper(text_, k_deepest_json)) {
      return failure(ErrorKind::invalid_input, "it nests too deep");
    }
    const bool is_json =
        json::sax_parse(Walk(text_.data(), &at_), Walk(text_.data() + text_.size(), &at_), this);
    if (!is_json || depth_ != 0) {
      return failure(ErrorKind::invalid_input, is_fit_ ? "it is not JSON" : "it is no document");
    }
    const Marks& marks = predicate_ ? inner_ : outer_;
    const auto type = marks.type();
    if (!type || (predicate_ && predicate_type_ != *type)) {
      return failure(ErrorKind::invalid_input, "it is neither SPDX 2 nor CycloneDX");
    }
    return Sbom{.predicate_type = *type, .document = std::string(predicate_.value_or(whole_))};
  }

  bool start_object(std::size_t /*size*/) override {
    if (depth_ == 0) {
      begin_ = at_ - 1;
    } else if (is_at_predicate()) {
      is_fit_ = is_fit_ && !predicate_;  // A second one would be read by others.
      inner_begin_ = at_ - 1;
    }
    ++depth_;
    return is_fit_;
  }

  bool end_object() override {
    --depth_;
    if (depth_ == 0) {
      whole_ = {begin_, at_};
    } else if (is_at_predicate()) {
      predicate_ = std::string_view(inner_begin_, at_);
    }
    return true;
  }

  bool start_array(std::size_t /*size*/) override { return start_other(); }

  bool end_array() override {
    --depth_;
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ == 1) {
      key_ = name;
    } else if (is_in_predicate()) {
      inner_key_ = name;
    }
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ == 1 && key_ == "predicateType") {
      is_fit_ = is_fit_ && predicate_type_.empty();
      predicate_type_ = value;
    } else if (depth_ == 1) {
      outer_.see(key_, value);
    } else if (is_in_predicate()) {
      inner_.see(inner_key_, value);
    }
    return other();
  }

  bool null() override { return other(); }

  bool boolean(bool /*value*/) override { return other(); }

  bool number_integer(number_integer_t /*value*/) override { return other(); }

  bool number_unsigned(number_unsigned_t /*value*/) override { return other(); }

  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return other(); }

  bool binary(binary_t& /*value*/) override { return false; }

  bool parse_error(std::size_t /*at*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return false;
  }

 private:
  /// The value that comes next, or has just ended, is the predicate.
  [[nodiscard]] bool is_at_predicate() const { return depth_ == 1 && key_ == "predicate"; }

  [[nodiscard]] bool is_in_predicate() const { return depth_ == 2 && key_ == "predicate"; }

  /// Neither the outermost value nor a predicate may be something else than an object.
  bool other() {
    is_fit_ = is_fit_ && depth_ > 0 && !is_at_predicate();
    return is_fit_;
  }

  bool start_other() {
    const bool goes_on = other();
    ++depth_;
    return goes_on;
  }

  const std::string_view text_;
  const char* at_;  ///< Behind what was read.
  std::size_t depth_ = 0;
  std::string key_;        ///< Of the outermost object.
  std::string inner_key_;  ///< Of the predicate.
  const char* begin_ = nullptr;
  const char* inner_begin_ = nullptr;
  std::string_view whole_;
  std::optional<std::string_view> predicate_;
  std::string predicate_type_;
  Marks outer_;
  Marks inner_;
  bool is_fit_ = true;
};

}  // namespace

Result<Sbom> read_sbom(std::string_view text) {
  return Reader(text).read();
}

std::string sbom_statement(std::string_view image, std::string_view digest, const Sbom& sbom) {
  const auto colon = digest.find(':');
  const json subject{
      {{"name", image},
       {"digest",
        {{std::string(digest.substr(0, colon)), std::string(digest.substr(colon + 1))}}}}};
  std::string text = R"({"_type":"https://in-toto.io/Statement/v1","subject":)";
  text += subject.dump(-1, ' ', false, json::error_handler_t::replace);
  text += R"(,"predicateType":")" + std::string(sbom.predicate_type) + R"(","predicate":)";
  text += sbom.document;
  return text += '}';
}

}  // namespace builder::domain
