#include "adapters/redis/client/refusal.hpp"

#include <gtest/gtest.h>

#include <string>

namespace builder::adapters::redis {
namespace {

/// As servers before 7.0 wrap what a command in a script met.
std::string in_script(const std::string& text) {
  return "ERR Error running script (call to f_" + std::string(40, 'a') +
         "): @user_script:37: " + text;
}

TEST(Refusal, IsSortedByItsCode) {
  struct Row {
    std::string text;
    ErrorKind kind;
    bool changed_role;
  };

  const std::string readonly = "READONLY You can't write against a read only replica.";
  const Row rows[] = {
      {readonly, ErrorKind::unavailable, true},
      {readonly + " script: 1ab2, on @user_script:37.", ErrorKind::unavailable, true},
      {in_script("@user_script: 37: -" + readonly), ErrorKind::unavailable, true},
      {in_script("@user_script: 37: -MISCONF Redis is configured to save RDB snapshots"),
       ErrorKind::unavailable, false},
      {in_script("@user_script: 37: -NOREPLICAS Not enough good replicas to write."),
       ErrorKind::unavailable, false},
      {in_script("@user_script: 37: -OOM command not allowed when used memory > 'maxmemory'."),
       ErrorKind::unavailable, false},
      {in_script("WRONGTYPE Operation against a key holding the wrong kind of value"),
       ErrorKind::conflict, false},
      {in_script("@user_script: 37: The user executing the script can't run this command or "
                 "subcommand"),
       ErrorKind::denied, false},
      {"LOADING Redis is loading the dataset in memory", ErrorKind::unavailable, true},
      {"MOVED 3999 127.0.0.1:6381", ErrorKind::unavailable, true},
      {"NOSCRIPT No matching script. Please use EVAL.", ErrorKind::not_found, false},
      {"DENIED Redis is running in protected mode", ErrorKind::denied, false},
      {"ERR max number of clients reached", ErrorKind::unavailable, false},
      {"ERR invalid username-password pair", ErrorKind::denied, false},
      {"ERR unknown command 'BLMOVE'", ErrorKind::internal, false},
      // What somebody wrote into a key is no code.
      {"ERR Error running script (call to f_a): @user_script:3: user READONLY", ErrorKind::internal,
       false},
      {"ERR Error running script: @user_script:", ErrorKind::internal, false},
      {"", ErrorKind::internal, false},
  };
  for (const Row& row : rows) {
    const Refusal read = read_refusal(row.text);
    EXPECT_EQ(read.kind, row.kind) << row.text;
    EXPECT_EQ(read.changed_role, row.changed_role) << row.text;
  }
}

}  // namespace
}  // namespace builder::adapters::redis
