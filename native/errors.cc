#include "errors.h"

#include <cstring>

namespace xsiftr {

std::string ErrnoName(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : "E" + std::to_string(error);
}

std::string ErrnoText(int error) {
  const char* text = strerrordesc_np(error);
  return text != nullptr ? text : "error " + std::to_string(error);
}

Napi::Error ToJs(Napi::Env env, const SystemError& error) {
  Napi::Error js = Napi::Error::New(env, error.what());
  js.Set("code", ErrnoName(error.error));
  js.Set("errno", static_cast<double>(error.error));
  js.Set("syscall", error.syscall);
  return js;
}

}  // namespace xsiftr
