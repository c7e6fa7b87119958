#include "work/end_table.hpp"

#include <algorithm>
#include <array>

namespace builder::work {
namespace {

using ports::StopReason;
using report::Outcome;

/// nullopt stands for any.
struct Row {
  std::optional<Product> product;
  std::optional<StopReason> stop;
  RunEnd end;
};

constexpr std::nullopt_t k_any = std::nullopt;

/// The first row that fits counts. ARCHITECTURE.md shows the same table.
constexpr std::array<Row, 13> k_rows{{
    // An image that is in the registry is reported, whatever asks for a stop, but for a cancel.
    {Product::image, StopReason::cancelled_by_user, {Outcome::cancelled, LastLine::cancel}},
    {Product::image, StopReason::superseded, {Outcome::superseded, LastLine::cancel}},
    {Product::image, k_any, {Outcome::builded, LastLine::success}},
    {k_any, StopReason::cancelled_by_user, {Outcome::cancelled, LastLine::cancel}},
    {k_any, StopReason::superseded, {Outcome::superseded, LastLine::cancel}},
    {k_any, StopReason::silent, {Outcome::failed, LastLine::silence}},
    {k_any, StopReason::shutdown, {Outcome::requeued, LastLine::none}},
    {k_any, StopReason::host_full, {Outcome::requeued, LastLine::disk_short}},
    {k_any, StopReason::host_full_again, {Outcome::failed, LastLine::disk_full}},
    {k_any, StopReason::lost_lease, {Outcome::lost, LastLine::none}},
    {Product::operators_fault, k_any, {Outcome::blocked, LastLine::operators_fault}},
    {Product::out_of_time, k_any, {Outcome::failed, LastLine::build_timeout}},
    {Product::failure, k_any, {Outcome::failed, LastLine::own}},
}};

bool fits(const Row& row, Product product, StopReason stop) {
  return row.product.value_or(product) == product && row.stop.value_or(stop) == stop;
}

}  // namespace

RunEnd decide_end(std::optional<ErrorKind> not_announced, Product product, StopReason stop) {
  if (not_announced) {
    return {report::not_told(*not_announced), LastLine::none};
  }
  // The last three rows fit whatever the others leave.
  return std::ranges::find_if(k_rows, [&](const Row& one) { return fits(one, product, stop); })
      ->end;
}

}  // namespace builder::work
