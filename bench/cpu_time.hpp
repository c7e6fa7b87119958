#pragma once

#include <cstddef>
#include <ctime>

namespace builder::bench {

/// Of this core: what else the machine does takes no part.
template <class Work>
double seconds(Work work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

template <class Work>
double megabytes_a_second(std::size_t bytes, Work work) {
  return static_cast<double>(bytes) / 1e6 / seconds(work);
}

}  // namespace builder::bench
