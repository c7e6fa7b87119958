// What lies in Redis is read or refused, and what we wrote is read back as it was.
#include "adapters/redis/client/refusal.hpp"
#include "adapters/redis/client/server_info.hpp"
#include "adapters/redis/leased/checkpoint_entry.hpp"
#include "adapters/redis/leased/outbox_entry.hpp"

#include "fuzz/target.hpp"

BUILDER_FUZZ(redis_answers) {
  using namespace builder;
  using namespace builder::adapters::redis;
  if (const auto ending = read_entry(input)) {
    const std::string written = write_entry(*ending);
    const auto again = read_entry(written);
    fuzz::expect(again.has_value(), "an entry is not read back: " + written);
    fuzz::expect(again->verdict == ending->verdict && write_entry(*again) == written,
                 "another entry: " + written);
  }
  const domain::Checkpoint checkpoint = read_checkpoint(input);
  const domain::Checkpoint again = read_checkpoint(write_checkpoint(checkpoint));
  fuzz::expect(again == checkpoint, "other checkpoint: " + write_checkpoint(checkpoint));
  static_cast<void>(read_refusal(input));
  const std::string run = info_field(std::string(input), "run_id");
  fuzz::expect(!run.contains('\n'), "a field of two lines");
  fuzz::expect(run.empty() || ("\n" + std::string(input)).contains("\nrun_id:" + run),
               "the field of another name: " + run);
}
