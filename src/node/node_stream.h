// NodeStream: what another node's daemon streams to us, handed on item by item from a thread of its own for as long as
// the node answers or this lives. Included by rpc files only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

namespace godwit::node {

template <class Item>
class NodeStream {
 public:
  using Open = std::function<std::unique_ptr<grpc::ClientReader<Item>>(grpc::ClientContext*)>;
  // `sink` is called from the thread.
  NodeStream(std::unique_ptr<grpc::ClientContext> context, Open open, std::function<void(Item)> sink)
      : context_(std::move(context)) {
    thread_ = std::thread([this, open = std::move(open), sink = std::move(sink)] {
      auto stream = open(context_.get());
      Item item;
      while (stream->Read(&item)) sink(std::move(item));
      (void)stream->Finish();  // a node that went is no error: there are others
      ended_ = true;
    });
  }
  ~NodeStream() {
    context_->TryCancel();
    thread_.join();
  }
  NodeStream(const NodeStream&) = delete;
  NodeStream& operator=(const NodeStream&) = delete;
  bool ended() const { return ended_; }

 private:
  std::unique_ptr<grpc::ClientContext> context_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

}  // namespace godwit::node
