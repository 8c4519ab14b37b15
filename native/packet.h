// What a NIC does to single frames: verify and insert checksums, hash. No policy, no state but the counters it is handed.
#pragma once
#include <cstdint>

namespace xsiftr {

// Rows of the batch tables; the values are those of src/rings/link.ts.
enum Column { kColFrame, kColOffset, kColLength, kColFlags, kColHash, kColVlan, kColTime, kColSpare, kRowWords };

enum : int32_t {
  kFlagEop = 0x1,
  kFlagIpGood = 0x2,
  kFlagIpBad = 0x4,
  kFlagL4Good = 0x10,
  kFlagL4Partial = 0x20,
  kFlagL4Bad = 0x40,
  kFlagTxIpSum = 0x10000,
  kFlagTxL4Sum = 0x20000,
};
constexpr int kHashTypeShift = 8;

enum class RxCsum { kStrict, kAcceptPartial, kIgnore };

// What was found out about a received frame.
struct RxVerdict {
  int32_t flags = 0;  // checksum bits and hash type
  uint32_t hash = 0;
};

RxVerdict InspectRx(const uint8_t* frame, uint32_t length, RxCsum policy);

// Writes the checksums that `flags` wishes for into a frame to be sent. What cannot carry one is left alone.
void InsertChecksums(uint8_t* frame, uint32_t length, int32_t flags);

}  // namespace xsiftr
