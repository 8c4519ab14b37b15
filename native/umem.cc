#include "umem.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>

#include "errors.h"

namespace xsiftr {
namespace {

uint8_t* MapFrames(uint32_t frames) {
  size_t bytes = static_cast<size_t>(frames) << kFrameShift;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    int error = errno;
    throw SystemError(error, "mmap", "cannot map a UMEM of " + std::to_string(bytes >> 20) + " MiB: " + ErrnoText(error));
  }
  return static_cast<uint8_t*>(p);
}

}  // namespace

UmemMapping::UmemMapping(uint32_t frames) : base(MapFrames(frames)), frames(frames) {}

UmemMapping::~UmemMapping() { munmap(base, bytes()); }

int Umem::Register() {
  xsk_umem_config config = {};
  config.fill_size = ring_size;
  config.comp_size = ring_size;
  config.frame_size = kFrameSize;
  return -xsk_umem__create(&registered, mapping->base, mapping->bytes(), &fill, &comp, &config);
}

void Umem::Unregister() {
  if (registered != nullptr) xsk_umem__delete(registered);
  registered = nullptr;
}

}  // namespace xsiftr
