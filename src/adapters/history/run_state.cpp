#include "adapters/history/run_state.hpp"

#include "adapters/history/log_chunk.hpp"

#include <algorithm>
#include <numeric>

namespace builder::adapters::history {

namespace {

/// Of a table's row itself, in the file.
constexpr std::uint64_t k_row_bytes = 48;
constexpr std::uint64_t k_run_bytes = 1024;

template <class... Callables>
struct Overloaded : Callables... {
  using Callables::operator()...;
};

}  // namespace

void RunState::take(Item&& item, std::uint64_t head) {
  is_new = true;
  waiting += item.bytes;
  rows = std::max(rows, item.rows);
  std::visit(Overloaded{
                 [](const Began&) {},
                 [this](PhaseBegan& phase) {
                   end_phase(phase.time);
                   phases.emplace_back(std::move(phase.name), 0);
                   phase_began_ = phase.time;
                 },
                 [this](ports::RunStep& step) { steps.push_back(std::move(step)); },
                 [this](Base& base) { bases.push_back(std::move(base)); },
                 [&](const ports::KeptRow& row) { add(row, head); },
                 [this](Ended& end) {
                   end_phase(end.steady);
                   ended = std::move(end);
                 },
                 [this](const Abandoned&) { abandoned = true; },
             },
             item.what);
}

void RunState::end_phase(std::chrono::steady_clock::time_point now) {
  if (phase_began_) {
    // One that took less than that has ended all the same.
    phases.back().second =
        std::max(std::chrono::ceil<std::chrono::milliseconds>(now - *phase_began_),
                 std::chrono::milliseconds(1));
    // It is written once more.
    phases_written = std::min(phases_written, phases.size() - 1);
    phase_began_.reset();
  }
}

void RunState::add(const ports::KeptRow& row, std::uint64_t head) {
  rows = std::max(rows, row.number + 1);
  if (chunks.empty() || chunks.back().raw_bytes >= k_chunk_bytes) {
    trim(head);
    chunks.push_back({.first = row.number});
  }
  Chunk& last = chunks.back();
  append_row(last.raw, row);
  last.raw_bytes = last.raw.size();
  ++last.rows;
  last.is_new = true;
}

/// Of what lies behind the head no more is kept than of the head, the newest.
void RunState::trim(std::uint64_t head) {
  auto tail = chunks.begin();
  for (std::uint64_t before = 0; tail != chunks.end() && before < head; ++tail) {
    before += tail->raw_bytes;
  }
  std::uint64_t behind = 0;
  for (auto chunk = tail; chunk != chunks.end(); ++chunk) {
    behind += chunk->raw_bytes;
  }
  while (tail != chunks.end() && behind > head) {
    behind -= tail->raw_bytes;
    if (tail->file_bytes > 0) {
      cut.push_back(tail->first);
    }
    tail = chunks.erase(tail);
  }
}

void RunState::forget_written() {
  id = 0;
  phases_written = steps_written = bases_written = 0;
  cut.clear();
  std::erase_if(chunks, [](const Chunk& chunk) { return chunk.raw.empty(); });
  for (Chunk& chunk : chunks) {
    chunk.is_new = true;
    chunk.file_bytes = 0;
  }
  is_new = true;
}

std::uint64_t RunState::rows_kept() const {
  return std::accumulate(chunks.begin(), chunks.end(), std::uint64_t(0),
                         [](std::uint64_t sum, const Chunk& chunk) { return sum + chunk.rows; });
}

std::uint64_t RunState::file_bytes() const {
  // All that strangers choose counts, or it would be for nothing.
  std::uint64_t sum = k_run_bytes + k_row_bytes * phases.size();
  for (const std::string& name : start.variables) {
    sum += name.size() + 3;  // As JSON has it.
  }
  for (const auto& [name, value] : start.settings) {
    sum += name.size() + value.size() + 8;
  }
  for (const std::string* text : {&start.repository, &start.branch, &start.dockerfile}) {
    sum += text->size();
  }
  for (const Base& base : bases) {
    sum += k_row_bytes + base.reference.size() + base.digest.size();
  }
  if (ended) {
    sum += ended->end.line.size() + ended->end.advice.size() + ended->end.image.size();
  }
  for (const ports::RunStep& step : steps) {
    sum += k_row_bytes + step.name.size();
  }
  for (const Chunk& chunk : chunks) {
    sum += k_row_bytes + chunk.file_bytes;
  }
  return sum;
}

}  // namespace builder::adapters::history
