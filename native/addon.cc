// The addon's border to JavaScript: set-up and counters. Arguments are checked here and nothing below sees raw options.
#include <napi.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "batch.h"
#include "clock.h"
#include "errors.h"
#include "poller.h"
#include "registry.h"
#include "toeplitz.h"

#ifdef XSIFTR_HAVE_SYS
void InitSys(Napi::Env env, Napi::Object exports);
#endif

namespace xsiftr {
namespace {

constexpr uint32_t kMinRing = 64;
constexpr uint32_t kMaxRing = 65536;
constexpr uint32_t kMaxFrames = 1u << 19;  // 2 GiB, the largest byte position that int32 holds

// What one environment (the main thread, a worker) holds. Given back when it ends, however it ends.
struct EnvState {
  struct Binding {
    Queue* queue;
    Napi::ObjectReference free, top, page;
  };
  explicit EnvState(napi_env env) : env(env) {}
  const napi_env env;
  Napi::Reference<Napi::ArrayBuffer> umem;
  UmemMapping* umem_mapping = nullptr;
  std::map<int32_t, Binding> bindings;

  void ReleaseQueues() {
    std::lock_guard<std::mutex> guard(Registry::Get().lock);
    for (auto& [handle, binding] : bindings) {
      binding.queue->Unbind();
      binding.queue->owner.store(nullptr);
    }
    bindings.clear();
  }
};

uint32_t Uint(Napi::Env env, Napi::Value value, const char* name, uint32_t min, uint32_t max) {
  if (!value.IsNumber()) throw Napi::TypeError::New(env, std::string(name) + ": a number is expected");
  double d = value.As<Napi::Number>().DoubleValue();
  if (!(d >= min && d <= max) || d != static_cast<uint32_t>(d)) {
    throw Napi::RangeError::New(env, std::string(name) + ": a whole number of " + std::to_string(min) + ".." + std::to_string(max) +
                                         " is expected");
  }
  return static_cast<uint32_t>(d);
}

bool Bool(Napi::Env env, Napi::Object options, const char* name) {
  Napi::Value value = options.Get(name);
  if (!value.IsBoolean()) throw Napi::TypeError::New(env, std::string(name) + ": a boolean is expected");
  return value.As<Napi::Boolean>().Value();
}

// The position of a string option among its allowed values.
size_t Choice(Napi::Env env, Napi::Object options, const char* name, const std::vector<std::string>& allowed) {
  Napi::Value value = options.Get(name);
  std::string given = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  std::string list;
  for (size_t i = 0; i < allowed.size(); i++) {
    if (value.IsString() && allowed[i] == given) return i;
    list += (i == 0 ? "" : ", ") + allowed[i];
  }
  throw Napi::TypeError::New(env, std::string(name) + ": one of " + list + " is expected");
}

template <typename T>
T Words(Napi::Env env, Napi::Value value, const char* name, napi_typedarray_type type, size_t min_length) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    throw Napi::TypeError::New(env, std::string(name) + ": a typed array of another kind is expected");
  }
  T array = value.As<T>();
  if (array.ElementLength() < min_length) {
    throw Napi::RangeError::New(env, std::string(name) + ": at least " + std::to_string(min_length) + " words are expected");
  }
  return array;
}

Port* PortArgument(const Napi::CallbackInfo& info) {
  uint32_t number = Uint(info.Env(), info[0], "port", 0, kMaxPorts - 1);
  Port* port = Registry::Get().ports[number].get();
  if (port == nullptr) throw Napi::RangeError::New(info.Env(), "port " + std::to_string(number) + " is not open");
  return port;
}

uint32_t QueueArgument(const Napi::CallbackInfo& info, const Port* port) {
  return Uint(info.Env(), info[1], "queue", 0, static_cast<uint32_t>(port->queues.size()) - 1);
}

void CreateUmem(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint32_t frames = Uint(env, info[0], "frames", 1, kMaxFrames);
  uint32_t ring_size = Uint(env, info[1], "ringSize", kMinRing, kMaxRing);
  if (ring_size & (ring_size - 1)) throw Napi::RangeError::New(env, "ringSize: a power of two is expected");
  Registry& registry = Registry::Get();
  std::lock_guard<std::mutex> guard(registry.lock);
  try {
    if (registry.umem != nullptr) throw SystemError(EEXIST, "createUmem", "this process has a UMEM already");
    auto umem = std::make_unique<Umem>();
    umem->mapping = std::make_shared<UmemMapping>(frames);
    umem->ring_size = ring_size;
    registry.umem = std::move(umem);
  } catch (const SystemError& error) {
    throw ToJs(env, error);
  }
}

void DestroyUmem(const Napi::CallbackInfo& info) {
  Registry& registry = Registry::Get();
  std::lock_guard<std::mutex> guard(registry.lock);
  if (registry.umem != nullptr && registry.umem->ports > 0) {
    throw ToJs(info.Env(), SystemError(EBUSY, "destroyUmem", "the UMEM is in use by an open port"));
  }
  registry.umem.reset();
}

Napi::Value UmemBuffer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  EnvState* state = env.GetInstanceData<EnvState>();
  std::shared_ptr<UmemMapping> mapping;
  {
    Registry& registry = Registry::Get();
    std::lock_guard<std::mutex> guard(registry.lock);
    if (registry.umem == nullptr) throw Napi::Error::New(env, "this process has no UMEM yet");
    mapping = registry.umem->mapping;
  }
  if (state->umem_mapping == mapping.get() && !state->umem.IsEmpty()) return state->umem.Value();
  // The buffer holds the mapping for as long as the garbage collector keeps the buffer.
  auto* held = new std::shared_ptr<UmemMapping>(mapping);
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
      env, mapping->base, mapping->bytes(), [](Napi::Env, void*, std::shared_ptr<UmemMapping>* h) { delete h; }, held);
  state->umem = Napi::Persistent(buffer);
  state->umem_mapping = mapping.get();
  return buffer;
}

PortOptions ParsePortOptions(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsObject()) throw Napi::TypeError::New(env, "options: an object is expected");
  Napi::Object options = info[0].As<Napi::Object>();
  PortOptions out;
  Napi::Value ifname = options.Get("ifname");
  if (!ifname.IsString()) throw Napi::TypeError::New(env, "ifname: a string is expected");
  out.ifname = ifname.As<Napi::String>().Utf8Value();
  // IFNAMSIZ is 16 with the final zero.
  if (out.ifname.empty() || out.ifname.size() > 15 || out.ifname.find_first_of(std::string("/ \t\n\0", 5)) != std::string::npos) {
    throw Napi::RangeError::New(env, "ifname: an interface name of 1..15 bytes is expected");
  }
  Napi::Value netns = options.Get("netns");
  if (!netns.IsUndefined()) {
    if (!netns.IsString()) throw Napi::TypeError::New(env, "netns: the path of a network namespace is expected");
    out.netns = netns.As<Napi::String>().Utf8Value();
    if (out.netns.empty() || out.netns.find('\0') != std::string::npos) {
      throw Napi::RangeError::New(env, "netns: the path of a network namespace is expected");
    }
  }
  out.queues = Uint(env, options.Get("queues"), "queues", 1, XSIFTR_MAX_QUEUES);
  // 256 bytes of every frame are the kernel's (XDP_PACKET_HEADROOM).
  out.max_frame = Uint(env, options.Get("maxFrame"), "maxFrame", 64, kFrameSize - 256);
  out.xdp = static_cast<XdpMode>(Choice(env, options, "xdp", {"auto", "native", "generic"}));
  out.zero_copy = static_cast<ZeroCopy>(Choice(env, options, "zeroCopy", {"auto", "on", "off"}));
  out.rxcsum = static_cast<RxCsum>(Choice(env, options, "rxcsum", {"strict", "accept-partial", "ignore"}));
  out.exclusive = Bool(env, options, "exclusive");
  out.busy_poll = Bool(env, options, "busyPoll");
  out.timestamp = Bool(env, options, "timestamp");
  return out;
}

Napi::Value OpenPort(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  PortOptions options = ParsePortOptions(info);
  Registry& registry = Registry::Get();
  std::lock_guard<std::mutex> guard(registry.lock);
  if (registry.umem == nullptr) throw Napi::Error::New(env, "this process has no UMEM yet");
  uint32_t number = 0;
  while (number < kMaxPorts && registry.ports[number] != nullptr) number++;
  if (number == kMaxPorts) throw Napi::RangeError::New(env, "at most " + std::to_string(kMaxPorts) + " ports can be open");
  Port* port;
  try {
    registry.ports[number] = std::make_unique<Port>(options, registry.umem.get());
    port = registry.ports[number].get();
  } catch (const SystemError& error) {
    throw ToJs(env, error);
  }
  for (uint32_t q = 0; q < port->queues.size(); q++) {
    registry.queues[number * XSIFTR_MAX_QUEUES + q].store(port->queues[q].get(), std::memory_order_release);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("port", number);
  result.Set("ifindex", port->ifindex);
  result.Set("mode", port->native ? "native" : "generic");
  result.Set("zeroCopy", registry.umem->zero_copy);
  result.Set("frags", port->frags && registry.umem->frags);
  result.Set("busyPoll", port->busy_poll);
  result.Set("timestamp", options.timestamp);
  result.Set("queues", static_cast<uint32_t>(port->queues.size()));
  result.Set("ringSize", registry.umem->ring_size);
  Napi::Array notes = Napi::Array::New(env);
  for (uint32_t i = 0; i < port->notes.size(); i++) notes.Set(i, port->notes[i]);
  result.Set("notes", notes);
  return result;
}

void ClosePort(const Napi::CallbackInfo& info) {
  Registry& registry = Registry::Get();
  uint32_t number = Uint(info.Env(), info[0], "port", 0, kMaxPorts - 1);
  std::lock_guard<std::mutex> guard(registry.lock);
  Port* port = registry.ports[number].get();
  if (port == nullptr) return;
  if (port->InUse()) {
    throw ToJs(info.Env(), SystemError(EBUSY, "closePort", port->options.ifname + ": a thread still serves a queue"));
  }
  for (uint32_t q = 0; q < port->queues.size(); q++) registry.queues[number * XSIFTR_MAX_QUEUES + q].store(nullptr);
  registry.ports[number].reset();
}

void SetAddresses(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto v4 = Words<Napi::Int32Array>(env, info[1], "v4", napi_int32_array, 0);
  auto v6 = Words<Napi::Uint8Array>(env, info[2], "v6", napi_uint8_array, 0);
  if (v6.ElementLength() % 16 != 0) throw Napi::RangeError::New(env, "v6: 16 bytes an address are expected");
  if (v4.ElementLength() > XSIFTR_MAX_ADDRS || v6.ElementLength() / 16 > XSIFTR_MAX_ADDRS) {
    throw Napi::RangeError::New(env, "at most " + std::to_string(XSIFTR_MAX_ADDRS) + " addresses of a family can be claimed");
  }
  std::vector<uint32_t> addrs4;
  for (size_t i = 0; i < v4.ElementLength(); i++) addrs4.push_back(__builtin_bswap32(static_cast<uint32_t>(v4[i])));
  std::vector<std::vector<uint8_t>> addrs6;
  for (size_t i = 0; i < v6.ElementLength(); i += 16) addrs6.emplace_back(v6.Data() + i, v6.Data() + i + 16);
  std::lock_guard<std::mutex> guard(Registry::Get().lock);
  Port* port = PortArgument(info);
  try {
    port->SetAddresses(addrs4, addrs6);
  } catch (const SystemError& error) {
    throw ToJs(env, error);
  }
}

Napi::Value OpenQueue(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto free = Words<Napi::Int32Array>(env, info[2], "free", napi_int32_array, 1);
  auto top = Words<Napi::Int32Array>(env, info[3], "top", napi_int32_array, 1);
  uint32_t capacity = static_cast<uint32_t>(free.ElementLength());
  uint32_t reserve = Uint(env, info[4], "reserve", 0, capacity);
  auto page = Words<Napi::Float64Array>(env, info[5], "page", napi_float64_array, kClockWords);
  std::lock_guard<std::mutex> guard(Registry::Get().lock);
  Port* port = PortArgument(info);
  uint32_t number = info[0].As<Napi::Number>().Uint32Value();
  uint32_t index = QueueArgument(info, port);
  Queue* queue = port->queues[index].get();
  if (queue->owner.load() != nullptr) {
    throw ToJs(env, SystemError(EBUSY, "openQueue",
                                port->options.ifname + ": queue " + std::to_string(index) + " is served by a thread already"));
  }
  FrameStack stack;
  stack.free = free.Data();
  stack.top = top.Data();
  stack.capacity = static_cast<int32_t>(capacity);
  stack.reserve = static_cast<int32_t>(reserve);
  queue->Bind(stack, page.Data());
  queue->owner.store(env);
  int32_t handle = static_cast<int32_t>(number * XSIFTR_MAX_QUEUES + index);
  EnvState::Binding binding = {queue, Napi::Persistent(free.As<Napi::Object>()), Napi::Persistent(top.As<Napi::Object>()),
                               Napi::Persistent(page.As<Napi::Object>())};
  env.GetInstanceData<EnvState>()->bindings.emplace(handle, std::move(binding));
  return Napi::Number::New(env, handle);
}

void CloseQueue(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) throw Napi::TypeError::New(info.Env(), "a queue handle is expected");
  auto& bindings = info.Env().GetInstanceData<EnvState>()->bindings;
  auto it = bindings.find(info[0].As<Napi::Number>().Int32Value());
  if (it == bindings.end()) return;
  std::lock_guard<std::mutex> guard(Registry::Get().lock);
  it->second.queue->Unbind();
  it->second.queue->owner.store(nullptr);
  bindings.erase(it);
}

void QueueStats(const Napi::CallbackInfo& info) {
  auto out = Words<Napi::Float64Array>(info.Env(), info[2], "out", napi_float64_array, kQueueStats);
  std::lock_guard<std::mutex> guard(Registry::Get().lock);
  Port* port = PortArgument(info);
  port->ReadStats(QueueArgument(info, port), out.Data());
}

void QueueRings(const Napi::CallbackInfo& info) {
  auto out = Words<Napi::Int32Array>(info.Env(), info[2], "out", napi_int32_array, 16);
  std::lock_guard<std::mutex> guard(Registry::Get().lock);
  Port* port = PortArgument(info);
  port->queues[QueueArgument(info, port)]->ReadRings(out.Data());
}

void ClaimedDropped(const Napi::CallbackInfo& info) {
  auto out = Words<Napi::Float64Array>(info.Env(), info[1], "out", napi_float64_array, XSIFTR_MAX_QUEUES + 1);
  std::lock_guard<std::mutex> guard(Registry::Get().lock);
  Port* port = PortArgument(info);
  for (uint32_t slot = 0; slot <= XSIFTR_MAX_QUEUES; slot++) out[slot] = port->ClaimedDropped(slot);
}

Napi::Value LinkFlags(const Napi::CallbackInfo& info) {
  std::lock_guard<std::mutex> guard(Registry::Get().lock);
  Port* port = PortArgument(info);
  try {
    return Napi::Number::New(info.Env(), port->LinkFlags());
  } catch (const SystemError& error) {
    throw ToJs(info.Env(), error);
  }
}

Napi::Value ToeplitzV4(const Napi::CallbackInfo& info) {
  uint8_t input[12];
  for (size_t i = 0; i < 4; i++) {
    if (!info[i].IsNumber()) throw Napi::TypeError::New(info.Env(), "a number is expected");
    uint32_t v = info[i].As<Napi::Number>().Uint32Value();
    if (i < 2) {
      for (size_t b = 0; b < 4; b++) input[4 * i + b] = static_cast<uint8_t>(v >> (24 - 8 * b));
    } else {
      input[4 + 2 * i] = static_cast<uint8_t>(v >> 8);
      input[5 + 2 * i] = static_cast<uint8_t>(v);
    }
  }
  return Napi::Number::New(info.Env(), static_cast<int32_t>(ToeplitzBytes(0, input, sizeof(input))));
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  EnvState* state = new EnvState(env);
  env.SetInstanceData(state);
  // Before the environment's memory goes: the queues' stacks point into it.
  napi_add_env_cleanup_hook(env, [](void* s) { static_cast<EnvState*>(s)->ReleaseQueues(); }, state);
  const std::pair<const char*, void (*)(const Napi::CallbackInfo&)> actions[] = {
      {"createUmem", CreateUmem}, {"destroyUmem", DestroyUmem}, {"closePort", ClosePort},   {"setAddresses", SetAddresses},
      {"closeQueue", CloseQueue}, {"queueStats", QueueStats},   {"queueRings", QueueRings}, {"claimedDropped", ClaimedDropped},
  };
  for (const auto& [name, action] : actions) exports.Set(name, Napi::Function::New(env, action, name));
  exports.Set("umem", Napi::Function::New(env, UmemBuffer, "umem"));
  exports.Set("openPort", Napi::Function::New(env, OpenPort, "openPort"));
  exports.Set("linkFlags", Napi::Function::New(env, LinkFlags, "linkFlags"));
  exports.Set("openQueue", Napi::Function::New(env, OpenQueue, "openQueue"));
  exports.Set("toeplitzV4", Napi::Function::New(env, ToeplitzV4, "toeplitzV4"));
  InitBatch(env, exports);
  InitPoll(env, exports);
#ifdef XSIFTR_HAVE_SYS
  InitSys(env, exports);
#endif
  return exports;
}

}  // namespace
}  // namespace xsiftr

Napi::Object InitAddon(Napi::Env env, Napi::Object exports) { return xsiftr::Init(env, exports); }

NODE_API_MODULE(xsiftr, InitAddon)
