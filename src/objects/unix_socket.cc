// Unix sockets: pairs, connections inside the job, listening ones with what waits to be accepted, datagram sockets,
// names, queues with descriptors and credentials in flight. An end outside the job is refused.
//
// A connection made over a name is made over that name again, so that both ends tell the same names; a pair without
// names is a pair again. Source: unix(7), sock_diag(7), Linux net/unix/af_unix.c.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <set>

#include "files/owner_rights.h"
#include "objects/description.h"
#include "objects/sockets.h"
#include "sys/file.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"
#include "sys/unix_messages.h"
#include "sys/unix_socket.h"

namespace godwit::objects {

namespace {

constexpr uint32_t kListening = 10;   // TCP_LISTEN, also of unix sockets
constexpr uint32_t kEstablished = 1;  // TCP_ESTABLISHED
constexpr size_t kNameOffset = offsetof(sockaddr_un, sun_path);

// The same abstract name may be had once by each type.
std::string key_of(const image::UnixSocket& socket) { return std::to_string(socket.type()) + socket.name(); }

bool is_path(const std::string& address) { return address.size() > kNameOffset && address[kNameOffset] != '\0'; }
std::string path_of(const std::string& address) { return std::string(address.c_str() + kNameOffset); }

Unsupported outside(const std::string& what) {
  return {"socket.unix.outside", "unix socket: " + what,
          "have the program close it before the move, or run both programs in one job"};
}

// Where the name's file lies, if it is still there.
Result<void> find_name(const OpenDescriptor& open, const sys::UnixSocketRecord& record, CaptureTools& tools,
                       image::UnixSocket& into) {
  if (!is_path(into.name())) return {};
  std::string path = path_of(into.name());
  std::string base = "/proc/" + std::to_string(open.host_pid) + (path.starts_with("/") ? "/root" : "/cwd/");
  auto status = sys::status_of(base + path);
  if (!status || !S_ISSOCK(status->st_mode) || static_cast<uint32_t>(status->st_ino) != record.file_inode) return {};
  into.set_uid(status->st_uid);
  into.set_gid(status->st_gid);
  into.set_mode(status->st_mode & 0777);
  std::string parent = std::filesystem::path(base + path).parent_path().string();
  UniqueFd directory = TRY(sys::open_path(parent, O_PATH | O_DIRECTORY));
  std::string link = TRY(sys::link_of(directory.get()));
  into.set_directory(TRY(tools.files.add(directory.get(), link, {})));
  return {};
}

Result<void> capture_queue(const OpenDescriptor& open, const sys::UnixSocketRecord& record, CaptureTools& tools,
                           image::Description& into) {
  image::UnixSocket& socket = *into.mutable_unix_socket();
  auto messages = TRY(sys::peek_messages(open.copy.get(), static_cast<int>(record.type), record.queued_bytes));
  for (sys::UnixMessage& message : messages) {
    image::UnixMessage& told = *socket.add_messages();
    told.set_content(std::move(message.bytes));
    told.set_from(std::move(message.from));
    if (message.sender) {
      told.set_has_sender(true);
      told.set_pid(tools.inner_pid(message.sender->pid));
      told.set_uid(message.sender->uid);
      told.set_gid(message.sender->gid);
    }
    if (message.descriptors.empty()) continue;
    tools.sockets.in_flight.push_back({into.id(), socket.messages_size() - 1, std::move(message.descriptors)});
  }
  return {};
}

}  // namespace

Captured capture_unix_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  const sys::UnixSocketRecord* record = TRY(tools.sockets.unix_socket(open.status.st_ino));
  if (record == nullptr) return outside("it belongs to another network namespace");
  image::UnixSocket& socket = *into.mutable_unix_socket();
  socket.set_type(record->type);
  socket.set_inode(open.status.st_ino);
  socket.set_listening(record->state == kListening);
  std::string name = TRY(sys::own_address(open.copy.get()));
  if (name.size() > kNameOffset) socket.set_name(name);
  TRY(find_name(open, *record, tools, socket));
  TRY(tools.sockets.add_options(open.copy.get(), *socket.mutable_options(), TRY(sys::shape_of(open.copy.get()))));
  if (socket.listening()) {
    socket.set_backlog(record->backlog);
    for (uint64_t waiting : record->waiting) socket.add_waiting(waiting);
    bool unknown = std::find(record->waiting.begin(), record->waiting.end(), uint64_t{0}) != record->waiting.end();
    if (unknown) return outside("a client from outside waits to be accepted");
    return std::optional<Unsupported>();
  }
  socket.set_shutdown(record->shutdown);
  socket.set_connected(record->type == SOCK_DGRAM ? record->peer != 0 : record->state == kEstablished);
  socket.set_peer_inode(record->peer);
  if (record->peer != 0 && TRY(tools.sockets.unix_socket(record->peer)) == nullptr) {
    std::string peer = TRY(sys::peer_address(open.copy.get()));
    return outside("connected to " + (is_path(peer) ? path_of(peer) : "a socket") + " outside the job");
  }
  if (tools.sockets.is_waiting(socket.inode()) && record->unread_bytes != 0) {
    return Unsupported{"socket.unix.accept_queue", "unix socket: it has sent to a server that has not accepted it yet",
                       "try again when the server has accepted it", true};
  }
  if (tools.depth == Depth::full) TRY(capture_queue(open, *record, tools, into));
  return std::optional<Unsupported>();
}

namespace {

using sys::SocketNameStage;

struct Entry {
  const image::Description* description;
  const image::UnixSocket* socket;
  bool made = false;
};

class Restore final : public UnixSocketRestore {
 public:
  Restore(RestoreTools& tools, MadeDescriptions& made)
      : opener_(tools.opener), owner_(tools.owner), making_(&made), made_(&made) {}

  Result<void> make_all(const image::LogicalHost& host);
  Result<void> fill(const MadeDescriptions& made, const std::function<pid_t(pid_t)>& host_pid) override;
  Result<void> publish_new_names() override;
  Result<void> publish_all_names() override;
  ~Restore() override;

 private:
  struct Name {
    std::optional<SocketNameStage> stage;  // of a path
    bool has_file = false, was_free = false, published = false;
    int listener = -1;  // something that listens there, for connections to be made
    UniqueFd temporary;
  };
  int fd_of(const Entry& entry) const { return made_->at(entry.description->id()).get(); }
  void keep(Entry& entry, UniqueFd fd);
  Entry* peer_of(const Entry& entry);
  Result<Name*> name_of(const image::UnixSocket& socket);
  Result<void> bind(int fd, const image::UnixSocket& socket);
  Result<void> connect(int fd, const image::UnixSocket& to);
  Result<UniqueFd> new_socket(const image::UnixSocket& socket);
  Result<void> make_alone(Entry& entry);
  Result<void> make_connected(Entry& entry);
  Result<void> make_over_name(Entry& server, Entry* client);
  Result<void> connect_waiting(const Entry& listener);
  Result<void> put_all(Entry& entry, const MadeDescriptions& made, const std::function<pid_t(pid_t)>& host_pid);
  Result<void> put_datagram(Entry& entry, const image::UnixMessage& message, std::span<const int> descriptors,
                            const std::optional<sys::UnixSender>& sender);
  Result<void> finish(Entry& entry);
  Result<void> publish(Name& name);

  files::Opener& opener_;
  files::Owner owner_;
  MadeDescriptions* making_;
  const MadeDescriptions* made_;
  std::vector<Entry> entries_;
  std::map<uint64_t, size_t> by_inode_;
  std::map<std::string, Name> names_;
  std::map<uint64_t, UniqueFd> gone_;  // stand-ins for ends that are gone, by the inode of the end that is there
  bool done_ = false;
};

constexpr int kFillingBytes = 256 << 20;

void Restore::keep(Entry& entry, UniqueFd fd) {
  entry.made = true;
  (*making_)[entry.description->id()] = std::move(fd);
}

Entry* Restore::peer_of(const Entry& entry) {
  auto found = by_inode_.find(entry.socket->peer_inode());
  return entry.socket->peer_inode() == 0 || found == by_inode_.end() ? nullptr : &entries_[found->second];
}

Result<Restore::Name*> Restore::name_of(const image::UnixSocket& socket) {
  auto [place, fresh] = names_.try_emplace(key_of(socket));
  Name& name = place->second;
  if (!fresh || !is_path(socket.name())) return &name;
  name.has_file = socket.directory() != 0;
  UniqueFd directory = name.has_file ? TRY(opener_.open(socket.directory(), O_PATH | O_DIRECTORY))
                                     : TRY(sys::open_path("/tmp", O_PATH | O_DIRECTORY));
  name.stage.emplace(TRY(SocketNameStage::make(std::move(directory), path_of(socket.name()))));
  name.was_free = !name.stage->taken();
  return &name;
}

Result<void> Restore::bind(int fd, const image::UnixSocket& socket) {
  Name* name = TRY(name_of(socket));
  if (!name->stage) return sys::bind_to(fd, socket.name());
  {
    auto inside = TRY(name->stage->enter());
    TRY(sys::bind_to(fd, socket.name()).within(path_of(socket.name())));
  }
  bool root = owner_.uid == 0;
  return name->stage->set_owner(root ? socket.uid() : owner_.uid, root ? socket.gid() : owner_.gid, socket.mode());
}

Result<void> Restore::connect(int fd, const image::UnixSocket& to) {
  auto name = names_.find(key_of(to));
  if (name == names_.end() || !name->second.stage) return sys::connect_to(fd, to.name());
  auto inside = TRY(name->second.stage->enter());
  return sys::connect_to(fd, to.name());
}

Result<UniqueFd> Restore::new_socket(const image::UnixSocket& socket) {
  bool known = socket.type() == SOCK_STREAM || socket.type() == SOCK_DGRAM || socket.type() == SOCK_SEQPACKET;
  if (!known) return error(ErrorKind::corrupt, "a unix socket of an impossible type");
  return sys::make_socket({AF_UNIX, static_cast<int>(socket.type()), 0});
}

// Listening, datagram, or not connected.
Result<void> Restore::make_alone(Entry& entry) {
  const image::UnixSocket& socket = *entry.socket;
  UniqueFd fd = TRY(new_socket(socket));
  if (!socket.name().empty()) TRY(bind(fd.get(), socket));
  if (socket.listening()) {
    TRY(sys::listen_on(fd.get(), static_cast<int>(socket.backlog())));
    names_[key_of(socket)].listener = fd.get();
  }
  keep(entry, std::move(fd));
  return {};
}

// One end was accepted from something that listened at `server`'s name.
Result<void> Restore::make_over_name(Entry& server, Entry* client) {
  Name* name = TRY(name_of(*server.socket));
  if (name->listener < 0) {
    name->temporary = TRY(new_socket(*server.socket));
    TRY(bind(name->temporary.get(), *server.socket));
    TRY(sys::listen_on(name->temporary.get(), 8));
    name->listener = name->temporary.get();
  }
  UniqueFd calling = TRY(new_socket(*server.socket));
  if (client != nullptr && !client->socket->name().empty()) TRY(bind(calling.get(), *client->socket));
  TRY(connect(calling.get(), *server.socket));
  keep(server, TRY(sys::accept_from(name->listener)));
  if (client != nullptr) {
    keep(*client, std::move(calling));
  } else {
    gone_[server.socket->inode()] = std::move(calling);
  }
  return {};
}

Result<void> Restore::make_connected(Entry& entry) {
  Entry* peer = peer_of(entry);
  if (peer != nullptr && (peer->made || peer->socket->type() != entry.socket->type() || peer == &entry)) {
    return error(ErrorKind::corrupt, "unix sockets that do not belong together");
  }
  auto listens = [&](const Entry& end) { return !end.socket->name().empty() && names_.contains(key_of(*end.socket)); };
  if (listens(entry)) return make_over_name(entry, peer);
  if (peer != nullptr && listens(*peer)) return make_over_name(*peer, &entry);
  if (!entry.socket->name().empty()) return make_over_name(entry, peer);
  if (peer != nullptr && !peer->socket->name().empty()) return make_over_name(*peer, &entry);
  auto pair = TRY(sys::unix_pair_of(static_cast<int>(entry.socket->type())));
  keep(entry, std::move(pair.first));
  if (peer != nullptr) {
    keep(*peer, std::move(pair.second));
  } else {
    gone_[entry.socket->inode()] = std::move(pair.second);
  }
  return {};
}

Result<void> Restore::connect_waiting(const Entry& listener) {
  for (uint64_t inode : listener.socket->waiting()) {
    auto found = by_inode_.find(inode);
    if (found == by_inode_.end()) return error(ErrorKind::corrupt, "a connection waits that is not there");
    Entry& client = entries_[found->second];
    if (client.made) return error(ErrorKind::corrupt, "a unix socket that waits and does not");
    UniqueFd fd = TRY(new_socket(*client.socket));
    if (!client.socket->name().empty()) TRY(bind(fd.get(), *client.socket));
    TRY(sys::set_blocking(fd.get(), false));
    TRY(connect(fd.get(), *listener.socket).within("waiting to be accepted again"));
    TRY(sys::set_blocking(fd.get(), true));
    keep(client, std::move(fd));
  }
  return {};
}

Result<void> Restore::make_all(const image::LogicalHost& host) {
  for (const image::Description& description : host.descriptions()) {
    if (!description.has_unix_socket()) continue;
    const image::UnixSocket& socket = description.unix_socket();
    if (!by_inode_.emplace(socket.inode(), entries_.size()).second) {
      return error(ErrorKind::corrupt, "two unix sockets that are one");
    }
    entries_.push_back({&description, &socket});
  }
  auto is_stream = [](const Entry& entry) { return entry.socket->type() != SOCK_DGRAM; };
  std::set<uint64_t> waiting;
  for (Entry& entry : entries_) waiting.insert(entry.socket->waiting().begin(), entry.socket->waiting().end());
  for (Entry& entry : entries_) {
    if (entry.socket->listening()) TRY(make_alone(entry));
  }
  for (Entry& entry : entries_) {
    if (entry.made || waiting.contains(entry.socket->inode())) continue;
    Entry* peer = peer_of(entry);
    bool datagram_pair = !is_stream(entry) && peer != nullptr && entry.socket->name().empty() &&
                         peer->socket->name().empty() && peer_of(*peer) == &entry;
    TRY((is_stream(entry) && entry.socket->connected()) || datagram_pair ? make_connected(entry) : make_alone(entry));
  }
  for (Entry& entry : entries_) TRY(connect_waiting(entry));
  for (Entry& entry : entries_) {
    if (!entry.made) return error(ErrorKind::corrupt, "a unix socket that waits for nobody");
  }
  return {};
}

// A datagram comes from whoever had its sender's name; when nobody has it any more, from one that has it for a moment.
Result<void> Restore::put_datagram(Entry& entry, const image::UnixMessage& message, std::span<const int> descriptors,
                                   const std::optional<sys::UnixSender>& sender) {
  Entry* peer = peer_of(entry);
  bool from_pair = peer != nullptr && message.from().empty() && entry.socket->name().empty();
  auto gone = gone_.find(entry.socket->inode());
  if (from_pair || gone != gone_.end()) {
    int fd = from_pair ? fd_of(*peer) : gone->second.get();
    return sys::put_message(fd, SOCK_DGRAM, message.content(), sender, descriptors, {});
  }
  int fd = -1;
  for (const Entry& other : entries_) {
    bool known = !message.from().empty() && other.socket->name() == message.from() && !other.socket->listening();
    if (known) fd = fd_of(other);
  }
  UniqueFd passing;
  if (fd < 0) {
    passing = TRY(new_socket(*entry.socket));
    bool abstract = !message.from().empty() && !is_path(message.from());
    if (abstract) (void)sys::bind_to(passing.get(), message.from());  // otherwise it comes from nobody
    fd = passing.get();
  }
  TRY(sys::enlarge_send_buffer(fd, kFillingBytes));
  auto name = names_.find(key_of(*entry.socket));
  std::optional<SocketNameStage::Inside> inside;
  if (name != names_.end() && name->second.stage) inside.emplace(TRY(name->second.stage->enter()));
  return sys::put_message(fd, SOCK_DGRAM, message.content(), sender, descriptors, entry.socket->name());
}

Result<void> Restore::put_all(Entry& entry, const MadeDescriptions& made, const std::function<pid_t(pid_t)>& host_pid) {
  if (entry.socket->messages().empty()) return {};
  Entry* peer = peer_of(entry);
  auto gone = gone_.find(entry.socket->inode());
  bool datagram = entry.socket->type() == SOCK_DGRAM;
  int from = peer != nullptr ? fd_of(*peer) : gone != gone_.end() ? gone->second.get() : -1;
  if (from < 0 && !datagram) return error(ErrorKind::corrupt, "a unix socket with content from nowhere");
  if (from >= 0) TRY(sys::enlarge_send_buffer(from, kFillingBytes));
  for (const image::UnixMessage& message : entry.socket->messages()) {
    std::vector<int> descriptors;
    for (uint32_t id : message.descriptions()) {
      auto found = made.find(id);
      if (found == made.end()) return error(ErrorKind::corrupt, "a descriptor in flight that is not there");
      descriptors.push_back(found->second.get());
    }
    std::optional<sys::UnixSender> sender;
    if (message.has_sender()) {
      pid_t pid = host_pid(message.pid() == 0 ? 1 : message.pid());
      bool root = owner_.uid == 0;
      sender = sys::UnixSender{pid != 0 ? pid : host_pid(1), root ? message.uid() : owner_.uid,
                               root ? message.gid() : owner_.gid};
    }
    TRY(datagram ? put_datagram(entry, message, descriptors, sender)
                 : sys::put_message(from, static_cast<int>(entry.socket->type()), message.content(), sender,
                                    descriptors, {}));
  }
  return {};
}

// What is last: everything before needed the socket open both ways and as it was made.
Result<void> Restore::finish(Entry& entry) {
  int fd = fd_of(entry);
  const image::UnixSocket& socket = *entry.socket;
  Entry* peer = peer_of(entry);
  bool datagram = socket.type() == SOCK_DGRAM;
  bool to_name = datagram && peer != nullptr && !peer->socket->name().empty();
  if (to_name) TRY(connect(fd, *peer->socket));
  TRY(sys::set_options(fd, {AF_UNIX, static_cast<int>(socket.type()), 0}, options_of(socket.options())));
  if (!socket.listening() && socket.connected() && (socket.shutdown() & 3) != 0) {
    TRY(sys::shut_down(fd, (socket.shutdown() & 1) != 0, (socket.shutdown() & 2) != 0));
  }
  return sys::set_file_flags(fd, entry.description->flags() & (O_NONBLOCK | O_ASYNC));
}

Result<void> Restore::fill(const MadeDescriptions& made, const std::function<pid_t(pid_t)>& host_pid) {
  made_ = &made;
  for (Entry& entry : entries_) TRY(put_all(entry, made, host_pid));
  gone_.clear();
  for (auto& [address, name] : names_) name.temporary.reset();
  for (Entry& entry : entries_) TRY(finish(entry));
  return {};
}

// No more than the owner could have done here.
Result<void> Restore::publish(Name& name) {
  bool allowed = false;
  {
    files::AsOwner owner(owner_);
    allowed = name.stage->may_publish(owner_.uid);
  }
  if (!allowed) return error(ErrorKind::denied, "the job's owner may not make the name of a unix socket");
  return name.stage->publish();
}

Result<void> Restore::publish_new_names() {
  for (auto& [address, name] : names_) {
    if (!name.stage || !name.has_file || !name.was_free) continue;
    TRY(publish(name));
    name.published = true;
  }
  return {};
}

Result<void> Restore::publish_all_names() {
  done_ = true;
  for (auto& [address, name] : names_) {
    if (!name.stage || !name.has_file || name.published) continue;
    TRY(publish(name));
  }
  return {};
}

Restore::~Restore() {
  if (done_) return;
  for (auto& [address, name] : names_) {
    if (name.published) name.stage->withdraw();
  }
}

}  // namespace

Result<std::unique_ptr<UnixSocketRestore>> UnixSocketRestore::make(const image::LogicalHost& host, RestoreTools& tools,
                                                                   MadeDescriptions& made) {
  auto restore = std::make_unique<Restore>(tools, made);
  TRY(restore->make_all(host));
  return std::unique_ptr<UnixSocketRestore>(std::move(restore));
}

}  // namespace godwit::objects
