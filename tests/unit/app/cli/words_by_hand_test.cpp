#include "app/cli/words_by_hand.hpp"

#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace builder::app::cli {
namespace {

TEST(WordsByHand, OfAFolderSpeakOfNoRepository) {
  for (const auto& [line, words] :
       {std::pair("No Dockerfile in the repository; building with buildpacks",
                  "No Dockerfile in the folder; building with buildpacks"),
        std::pair("'x' is a link out of the repository; commit the file",
                  "'x' is a link out of the folder; put the file itself there"),
        std::pair("No Dockerfile at 'x' in this commit; building with buildpacks",
                  "No Dockerfile at 'x'; building with buildpacks"),
        std::pair("Dockerfile:2: \"b\" not found: paths count from the repository's root, and it "
                  "is at a/b",
                  "Dockerfile:2: \"b\" not found: paths count from the folder's root, and it is at "
                  "a/b")}) {
    EXPECT_EQ(words_by_hand(line, true), words);
    EXPECT_EQ(words_by_hand(line, false), line);
  }
}

TEST(WordsByHand, NameOptionsInPlaceOfSettings) {
  for (const bool is_folder : {true, false}) {
    EXPECT_EQ(words_by_hand("'a' is a folder; set the Dockerfile path to a/Dockerfile", is_folder),
              "'a' is a folder; use --file a/Dockerfile");
    EXPECT_THAT(words_by_hand("No Dockerfile is at 'Dockerfile', but the repository has "
                              "Dockerfile.prod: to build from it, set it as the Dockerfile path of "
                              "the service",
                              is_folder),
                testing::EndsWith("Dockerfile.prod: --file names the one to build from"));
  }
}

TEST(WordsByHand, LeaveWhatIsQuotedAlone) {
  EXPECT_EQ(words_by_hand("Dockerfile:1: \"RUN git clone the repository\" failed; see the "
                          "repository",
                          true),
            "Dockerfile:1: \"RUN git clone the repository\" failed; see the folder");
}

TEST(MessagesByHand, ChangeMessagesAndNothingElse) {
  fakes::RecordingEvents events;
  MessagesByHand by_hand(events, true);
  by_hand.info("No Dockerfile in the repository");
  by_hand.warning("not in the repository");
  by_hand.emit(domain::Message{.type = domain::LogType::error, .text = "RUN the repository"});
  EXPECT_THAT(events.lines(),
              testing::ElementsAre("INFO No Dockerfile in the folder", "WARNING not in the folder",
                                   "ERROR RUN the repository"));
}

}  // namespace
}  // namespace builder::app::cli
