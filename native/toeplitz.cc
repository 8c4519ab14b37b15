#include "toeplitz.h"

namespace xsiftr {
namespace {

// The key of Microsoft's verification suite.
constexpr uint8_t kKey[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

// The 32 key bits that start at bit `bit`.
uint32_t KeyWindow(size_t bit) {
  uint32_t w = 0;
  for (size_t b = bit; b < bit + 32; b++) w = w << 1 | (kKey[b >> 3] >> (7 - (b & 7)) & 1);
  return w;
}

ToeplitzTable MakeTable() {
  ToeplitzTable t = {};
  for (size_t i = 0; i < kToeplitzBytes; i++) {
    for (size_t bit = 0; bit < 8; bit++) {
      uint32_t w = KeyWindow(8 * i + bit);
      for (size_t v = 0; v < 256; v++) {
        if (v & 0x80 >> bit) t.word[i][v] ^= w;
      }
    }
  }
  return t;
}

}  // namespace

const ToeplitzTable kToeplitz = MakeTable();

}  // namespace xsiftr
