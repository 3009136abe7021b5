// Words about where a logical host is, as they travel between daemons, and the directory's key for an address.
#pragma once

#include <string>

#include "directory/directory.h"
#include "forwarding/mechanism.h"
#include "godwit/api.pb.h"

namespace godwit::node {

api::Whereabouts to_wire(const forwarding::Word& word);
forwarding::Word from_wire(const api::Whereabouts& wire);
// From now on the node is told when the job moves.
void add_partner(api::Job& job, const std::string& node);
void remove_partner(api::Job& job, const std::string& node);
std::string address_key(forwarding::VirtualAddress address);
// The job has ended: another may have its address.
void free_address(directory::Directory& directory, const api::Job& job);

}  // namespace godwit::node
