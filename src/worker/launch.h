// Makes a logical host and starts a program in it.
#pragma once

#include "base/result.h"
#include "godwit/worker.pb.h"

namespace godwit::worker_process {

Result<worker::WorkerEvent> launch(const worker::Launch& order);

}  // namespace godwit::worker_process
