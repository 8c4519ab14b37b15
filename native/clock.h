// The clock page: what JavaScript reads instead of making a call (src/driver/native.ts, CLK).
#pragma once
#include <ctime>
#include <cstdint>

namespace xsiftr {

enum ClockWord { kClkUs, kClkMs, kClkWall, kClkSpare, kClockWords };

inline int64_t MonotonicNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// Keeps the distance between wall and monotonic time, so that a page costs one clock read and not two.
class WallClock {
 public:
  // Microseconds since the epoch at `mono_ns`. Follows a stepped or slewed wall clock within 10 ms.
  double At(int64_t mono_ns) {
    if (mono_ns >= refresh_ns_) {
      timespec t;
      clock_gettime(CLOCK_REALTIME, &t);
      offset_ns_ = t.tv_sec * 1000000000LL + t.tv_nsec - MonotonicNs();
      refresh_ns_ = mono_ns + 10000000;
    }
    return static_cast<double>((mono_ns + offset_ns_) / 1000);
  }

 private:
  int64_t offset_ns_ = 0;
  int64_t refresh_ns_ = 0;
};

// Writes the present time to `page` and returns it in nanoseconds.
inline int64_t WriteClock(double* page) {
  thread_local WallClock wall;
  int64_t ns = MonotonicNs();
  page[kClkUs] = static_cast<int32_t>(static_cast<uint32_t>(ns / 1000));
  page[kClkMs] = static_cast<int32_t>(static_cast<uint32_t>(ns / 1000000));
  page[kClkWall] = wall.At(ns);
  return ns;
}

}  // namespace xsiftr
