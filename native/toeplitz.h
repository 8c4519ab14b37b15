// The RSS hash (Microsoft, "RSS hashing types"), by table: one lookup a byte of input. src/rings/toeplitz.ts is the same in TypeScript.
#pragma once
#include <cstddef>
#include <cstdint>

namespace xsiftr {

// Input bytes covered: two IPv6 addresses and two ports.
constexpr size_t kToeplitzBytes = 36;

struct ToeplitzTable {
  uint32_t word[kToeplitzBytes][256];
};
extern const ToeplitzTable kToeplitz;

// Hash contribution of `n` bytes that stand at input byte `at`.
inline uint32_t ToeplitzBytes(size_t at, const uint8_t* p, size_t n) {
  uint32_t h = 0;
  for (size_t i = 0; i < n; i++) h ^= kToeplitz.word[at + i][p[i]];
  return h;
}

}  // namespace xsiftr
