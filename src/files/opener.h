// Opener: gives the destination's worker every file of the job, from where it was decided that it comes.
//
// Carried files are complete temporaries until publish() gives them their names, just before the switchover; without commit()
// the destructor takes all of it back. Visits the job's mount namespace. Never creates or replaces with more rights than the
// job's owner has.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "files/offer.h"
#include "sys/namespace_visit.h"

namespace godwit::files {

class Opener {
 public:
  // `mounts`: the job's mount namespace; must outlive this.
  Opener(const wire::Offer& offer, const wire::OfferAnswer& answer, DestinationView view, std::string state_directory,
         const sys::MountNamespace& mounts);
  ~Opener();
  Opener(Opener&&) = delete;

  // Files that came into use after the plan are decided now. Errors: what would have been a refusal.
  Result<void> update(const image::LogicalHost& state);
  // O_CREAT, O_EXCL and O_TRUNC are never passed on. Errors: gone, when the program's file is not there.
  Result<UniqueFd> open(uint32_t file, int flags);
  bool is_job_root(uint32_t file) const { return files_.at(file).path() == "/"; }

  // Content of carried files, as it arrives.
  Result<void> write(uint32_t file, uint64_t offset, std::span<const std::byte> bytes);
  Result<void> finish(uint32_t file, uint64_t size, int64_t mtime_ns);
  Result<void> publish();
  void commit() { published_.clear(); temporaries_.clear(); }

 private:
  struct Carried {
    std::string path;       // where it will be; empty: it has no name
    std::string temporary;  // its name until then; empty: none
    UniqueFd fd;
    bool hidden = false;    // only the job sees it, by a mount over `path`
  };
  Result<Carried*> carried(uint32_t file);
  Result<UniqueFd> make_temporary(const image::File& file, Carried& into);
  Result<void> make_special(const image::File& file);
  Result<void> make_parents(const std::string& path);
  image::File::Origin origin_of(uint32_t file) const;

  const sys::MountNamespace& mounts_;
  std::string source_boot_id_;
  DestinationView view_;
  std::string state_directory_;
  std::map<uint32_t, image::File> files_;
  std::map<uint32_t, wire::FileVerdict> verdicts_;
  std::map<uint32_t, Carried> carried_;
  std::vector<std::string> temporaries_, published_;
};

}  // namespace godwit::files
