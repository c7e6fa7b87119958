#pragma once

namespace builder {

/// Has a `unique_ptr` free what a C library made by that library's own function.
template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace builder
