#pragma once

#include "domain/build_event.hpp"

#include <string>
#include <string_view>

namespace builder::app::cli {

/// A line that is written for a customer of the platform, in the words of whoever builds by hand:
/// there is no setting of a service, and what is built may be a folder (`is_folder`) and no
/// repository. What stands in double quotes is a stranger's and stays.
std::string words_by_hand(std::string_view line, bool is_folder);

/// Passes everything on, messages in those words. Thread-safe if `events` is, which outlives it.
class MessagesByHand final : public domain::EventSink {
 public:
  MessagesByHand(domain::EventSink& events, bool is_folder)
      : events_(events), is_folder_(is_folder) {}

  void emit(domain::BuildEvent event) override;

 private:
  domain::EventSink& events_;
  const bool is_folder_;
};

}  // namespace builder::app::cli
