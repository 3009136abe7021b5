// Opener: gives the destination's worker every file of the job, from where it
// was decided that it comes.
//
// Carried files are complete temporaries until publish() gives them their
// names, just before the switchover; without commit() the destructor takes all
// of it back. Visits the job's mount namespace. Never creates, replaces or
// opens with more rights than the job's owner has; what an equal file gives to
// read the source had shown already.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "files/offer.h"
#include "files/placement.h"
#include "sys/namespace_visit.h"

namespace godwit::files {

class Opener {
 public:
  // `mounts`: the job's mount namespace; must outlive this.
  Opener(const wire::Offer& offer, const wire::OfferAnswer& answer, DestinationView view, std::string state_directory,
         const sys::MountNamespace& mounts);
  ~Opener();
  Opener(Opener&&) = delete;

  // Files that came into use, or changed, after the plan are decided now.
  // Errors: what would have been a refusal.
  Result<void> update(const image::LogicalHost& state);
  // After update: whether the source waits to be told whose content it must
  // send, and whose.
  bool source_asks() const { return asked_; }
  const std::set<uint32_t>& wanted() const { return wanted_; }
  // After update: whether every file is there, or content may still arrive.
  bool has_all() const;

  // O_CREAT, O_EXCL and O_TRUNC are never passed on. Errors: gone, when the
  // program's file is not there; conflict, when it has changed since it was
  // decided upon.
  Result<UniqueFd> open(uint32_t file, int flags);
  // Whether it is the very file that the source has.
  bool is_shared(uint32_t file) const { return origin_of(file) == image::File::SHARED; }
  // Whether nothing is lost by opening it early: this node has it, and the program does not write to it.
  bool may_be_early(uint32_t file) const;
  // How often it was decided otherwise where it comes from: what was opened before the last time may be another file.
  uint32_t decisions(uint32_t file) const;
  // Requires: a file that was opened.
  const std::string& path(uint32_t file) const { return files_.at(file).path(); }
  bool is_job_root(uint32_t file) const { return files_.at(file).path() == "/"; }
  // A directory as the job sees it.
  Result<UniqueFd> open_directory(const std::string& path) const;

  // Content of carried files, as it arrives.
  Result<void> write(uint32_t file, uint64_t offset, std::span<const std::byte> bytes);
  Result<void> finish(uint32_t file, uint64_t size, int64_t mtime_ns);
  Result<void> publish();
  // The job lives here now: nothing is taken back.
  void commit();
  bool committed() const { return committed_; }

 private:
  struct Carried {
    UniqueFd fd;                         // readable
    bool writable = true;                // and writable; of a file that is not written only while content comes:
                                         // what anyone holds open for writing cannot be executed
    std::optional<Placement> placement;  // none: it has no name, or only the job sees it
    std::string hidden;                  // its name below the daemon's state directory; empty: none
    bool finished = false;               // its content has arrived
  };
  std::string here(const image::File& file) const { return view_.root + file.path(); }
  // Errors: what would have been a refusal.
  Result<wire::FileVerdict> decision_on(const image::File& file) const;
  Result<void> check_pool_file(const image::File& file) const;
  Result<void> decide_again(const image::File& file);
  Result<void> lose_name(const image::File& file);
  Result<Carried*> carried(uint32_t file);
  Result<Carried*> content_of(uint32_t file);
  static Result<void> make_read_only(Carried& file);
  Result<Carried> make_carried(const image::File& file);
  Result<Carried> make_hidden(const image::File& file);
  Result<UniqueFd> make_nameless(const image::File& file);
  Result<UniqueFd> find_special(const image::File& file);
  Result<UniqueFd> find(const image::File& file, const wire::FileVerdict& verdict);
  image::File::Origin origin_of(uint32_t file) const;

  const sys::MountNamespace& mounts_;
  std::string source_boot_id_;
  DestinationView view_;
  std::string state_directory_;
  MadeEntries made_;
  std::map<uint32_t, image::File> plan_, files_;
  std::map<uint32_t, wire::FileVerdict> verdicts_;
  std::map<uint32_t, uint32_t> decisions_;          // other ones after the first
  std::map<uint32_t, wire::FileVerdict> answered_;  // the verdicts that the source knows
  std::map<uint32_t, Carried> carried_;
  std::map<uint32_t, UniqueFd> specials_;  // carried directories and FIFOs, O_PATH
  std::map<uint32_t, UniqueFd> held_;      // shared files of hugetlbfs: they stay so when they lose their names; O_PATH
  std::set<uint32_t> wanted_;
  bool asked_ = false;
  bool committed_ = false;
};

}  // namespace godwit::files
