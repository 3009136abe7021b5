#include "objects/packet_rules.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <span>

#include "sys/netlink_attributes.h"

namespace godwit::objects {

namespace {

using sys::Attributes;
using sys::NetlinkBatch;

constexpr size_t kMostMessages = 1 << 20;

// What a thing is made of; the kernel tells more, such as handles and how often it is used.
struct Shape {
  uint8_t list, make;
  std::vector<uint16_t> attributes;
};

// In the order in which they can be made: what is named by another comes first.
const std::vector<Shape>& shapes() {
  static const std::vector<Shape> kShapes{
      {NFT_MSG_GETTABLE, NFT_MSG_NEWTABLE, {NFTA_TABLE_NAME, NFTA_TABLE_FLAGS, NFTA_TABLE_USERDATA}},
      {NFT_MSG_GETCHAIN,
       NFT_MSG_NEWCHAIN,
       {NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_HOOK, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE, NFTA_CHAIN_COUNTERS,
        NFTA_CHAIN_FLAGS, NFTA_CHAIN_USERDATA}},
      {NFT_MSG_GETOBJ,
       NFT_MSG_NEWOBJ,
       {NFTA_OBJ_TABLE, NFTA_OBJ_NAME, NFTA_OBJ_TYPE, NFTA_OBJ_DATA, NFTA_OBJ_USERDATA}},
      {NFT_MSG_GETSET,
       NFT_MSG_NEWSET,
       {NFTA_SET_TABLE, NFTA_SET_NAME, NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, NFTA_SET_DATA_TYPE,
        NFTA_SET_DATA_LEN, NFTA_SET_POLICY, NFTA_SET_DESC, NFTA_SET_TIMEOUT, NFTA_SET_GC_INTERVAL, NFTA_SET_USERDATA,
        NFTA_SET_OBJ_TYPE, NFTA_SET_EXPR, NFTA_SET_EXPRESSIONS}},
      {NFT_MSG_GETFLOWTABLE,
       NFT_MSG_NEWFLOWTABLE,
       {NFTA_FLOWTABLE_TABLE, NFTA_FLOWTABLE_NAME, NFTA_FLOWTABLE_HOOK, NFTA_FLOWTABLE_FLAGS}},
      {NFT_MSG_GETSETELEM,
       NFT_MSG_NEWSETELEM,
       {NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_ELEMENTS}},
      {NFT_MSG_GETRULE, NFT_MSG_NEWRULE, {NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_USERDATA}},
  };
  return kShapes;
}

uint16_t type_of(uint8_t message) { return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message); }

// A message to be: one byte of what it makes, one of family, its attributes.
constexpr size_t kHead = 2;

void append(std::string& list, uint16_t type, const void* bytes, size_t length) {
  nlattr head{static_cast<uint16_t>(sizeof(nlattr) + length), type};
  list.append(reinterpret_cast<const char*>(&head), sizeof head);
  list.append(static_cast<const char*>(bytes), length);
  list.append(MNL_ALIGN(length) - length, '\0');
}

void append(std::string& list, const nlattr* each) {
  append(list, each->nla_type, mnl_attr_get_payload(each), mnl_attr_get_payload_len(each));
}

// The kernel tells of some attributes that are 0 also where it does not take any: a timeout of what adds to a set,
// flags of what writes a header, all of what removes one.
bool only_told(const std::string& expression, const Attributes& data, const nlattr* each) {
  std::string_view value(static_cast<const char*>(mnl_attr_get_payload(each)), mnl_attr_get_payload_len(each));
  if (value.find_first_not_of('\0') != std::string_view::npos) return false;
  uint16_t type = mnl_attr_get_type(each);
  if (expression == "dynset") return type == NFTA_DYNSET_TIMEOUT;
  if (expression != "exthdr") return false;
  bool removes = data.find(NFTA_EXTHDR_SREG) == nullptr && data.find(NFTA_EXTHDR_DREG) == nullptr;
  return type == NFTA_EXTHDR_FLAGS || (removes && (type == NFTA_EXTHDR_OFFSET || type == NFTA_EXTHDR_LEN));
}

std::string rewritten(const std::string& name, const Attributes& expression) {
  Attributes before(expression.find(NFTA_EXPR_DATA));
  std::string data, whole;
  before.for_each([&](const nlattr* each) {
    if (!only_told(name, before, each)) append(data, each);
  });
  expression.for_each([&](const nlattr* each) {
    if (mnl_attr_get_type(each) != NFTA_EXPR_DATA) return append(whole, each);
    append(whole, each->nla_type, data.data(), data.size());
  });
  return whole;
}

std::string rewritten_expressions(const Attributes& expressions) {
  std::string list;
  expressions.for_each([&](const nlattr* each) {
    Attributes expression(each);
    const std::string name = expression.text(NFTA_EXPR_NAME);
    if (name != "dynset" && name != "exthdr") return append(list, each);
    std::string whole = rewritten(name, expression);
    append(list, each->nla_type, whole.data(), whole.size());
  });
  return list;
}

std::string entry_of(const Shape& shape, uint8_t family, const Attributes& attributes) {
  std::string kept;
  attributes.for_each([&](const nlattr* each) {
    if (std::ranges::find(shape.attributes, mnl_attr_get_type(each)) == shape.attributes.end()) return;
    if (shape.make != NFT_MSG_NEWRULE || mnl_attr_get_type(each) != NFTA_RULE_EXPRESSIONS) return append(kept, each);
    std::string list = rewritten_expressions(Attributes(each));
    append(kept, each->nla_type, list.data(), list.size());
  });
  return std::string{static_cast<char>(shape.make), static_cast<char>(family)} + kept;
}

// Attributes must lie at multiples of four.
class Parsed {
 public:
  explicit Parsed(const std::string& entry) : aligned_((entry.size() + 3) / 4) {
    if (entry.size() < kHead) return;
    std::memcpy(aligned_.data(), entry.data() + kHead, entry.size() - kHead);
    length_ = entry.size() - kHead;
  }
  Attributes attributes() const { return Attributes(std::as_bytes(std::span(aligned_)).first(length_)); }

 private:
  std::vector<uint32_t> aligned_;
  size_t length_ = 0;
};

void refuse(std::vector<worker::Refusal>& refusals, const std::string& what, const std::string& remedy) {
  worker::Refusal refusal;
  refusal.set_fd(-1);
  refusal.set_code("network.nftables");
  refusal.set_what(what);
  refusal.set_remedy(remedy);
  for (const worker::Refusal& each : refusals) {
    if (each.what() == what) return;
  }
  refusals.push_back(std::move(refusal));
}

// Matches and targets of iptables are the kernel's own records; nobody but their makers can make them again.
bool has_foreign_parts(const Attributes& rule) {
  bool found = false;
  Attributes(rule.find(NFTA_RULE_EXPRESSIONS)).for_each([&](const nlattr* each) {
    std::string name = Attributes(each).text(NFTA_EXPR_NAME);
    found = found || name == "match" || name == "target";
  });
  return found;
}

void judge(const Shape& shape, const Attributes& attributes, std::vector<worker::Refusal>& refusals) {
  if (shape.make == NFT_MSG_NEWTABLE && attributes.find(NFTA_TABLE_OWNER) != nullptr) {
    refuse(refusals,
           "the job's packet filter table " + attributes.text(NFTA_TABLE_NAME) + " lasts only while a program holds it",
           "make it without the owner flag");
  }
  if (shape.make == NFT_MSG_NEWRULE && has_foreign_parts(attributes)) {
    refuse(refusals,
           "the job's packet filter table " + attributes.text(NFTA_RULE_TABLE) + " has rules with parts of iptables",
           "write them as rules of nft (iptables-translate shows how)");
  }
}

void question_of(NetlinkBatch& question, const Shape& shape, uint8_t family, const std::string& table,
                 const std::string& set) {
  question.begin(type_of(shape.list), NLM_F_DUMP);
  nfgenmsg header{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = 0};
  question.header(&header, sizeof header);
  if (table.empty()) return;
  question.attribute_text(NFTA_SET_ELEM_LIST_TABLE, table.c_str());
  question.attribute_text(NFTA_SET_ELEM_LIST_SET, set.c_str());
}

Result<void> list_one(sys::Netlink& netlink, const Shape& shape, const NetlinkBatch& question,
                      std::vector<std::string>& entries, std::vector<worker::Refusal>& refusals) {
  return netlink.run(question, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != type_of(shape.make) || mnl_nlmsg_get_payload_len(message) < sizeof(nfgenmsg)) return;
    Attributes attributes(message, sizeof(nfgenmsg));
    judge(shape, attributes, refusals);
    auto family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message))->nfgen_family;
    bool empty_list = shape.make == NFT_MSG_NEWSETELEM && attributes.find(NFTA_SET_ELEM_LIST_ELEMENTS) == nullptr;
    if (!empty_list) entries.push_back(entry_of(shape, family, attributes));
  });
}

// The kernel wants sets numbered within what is changed at once, to be named before they are there.
void add(NetlinkBatch& batch, const Shape& shape, const std::string& entry, uint32_t number) {
  constexpr uint16_t kHow = NLM_F_CREATE | NLM_F_APPEND;
  batch.begin(type_of(shape.make), kHow);
  nfgenmsg header{.nfgen_family = static_cast<uint8_t>(entry[1]), .version = NFNETLINK_V0, .res_id = 0};
  batch.header(&header, sizeof header);
  Parsed parsed(entry);
  batch.raw(std::string_view(entry).substr(kHead));
  if (shape.make == NFT_MSG_NEWSET) batch.attribute_u32(NFTA_SET_ID, htonl(number));
}

void mark(NetlinkBatch& batch, uint16_t type) {
  batch.begin_unanswered(type);
  nfgenmsg header{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};
  batch.header(&header, sizeof header);
}

const Shape* shape_of(const std::string& entry) {
  if (entry.size() < kHead) return nullptr;
  for (const Shape& shape : shapes()) {
    if (shape.make == static_cast<uint8_t>(entry[0])) return &shape;
  }
  return nullptr;
}

// Chains without a name of their own ("jump { ... }") take no rules any more once another rule jumps to them; one in
// another was made after it.
uint64_t unnamed_chain(const std::string& entry) {
  constexpr std::string_view kPrefix = "__chain";
  std::string chain = Parsed(entry).attributes().text(NFTA_RULE_CHAIN);
  return chain.starts_with(kPrefix) ? std::strtoull(chain.c_str() + kPrefix.size(), nullptr, 10) : 0;
}

std::vector<std::string> in_order(const std::vector<std::string>& entries) {
  std::vector<std::string> ordered;
  std::map<uint64_t, std::vector<std::string>, std::greater<>> rules;
  for (const std::string& entry : entries) {
    bool rule = static_cast<uint8_t>(entry[0]) == NFT_MSG_NEWRULE;
    (rule ? rules[unnamed_chain(entry)] : ordered).push_back(entry);
  }
  for (const auto& [chain, of_chain] : rules) ordered.insert(ordered.end(), of_chain.begin(), of_chain.end());
  return ordered;
}

}  // namespace

Result<PacketRules> PacketRules::open() {
  PacketRules rules;
  auto netlink = sys::Netlink::open(NETLINK_NETFILTER);
  if (!netlink) {
    if (netlink.error().errno_value == EPROTONOSUPPORT) return rules;
    return std::move(netlink.error());
  }
  rules.netlink_ = std::move(*netlink);
  auto generation = rules.generation();
  if (!generation) rules.netlink_.reset();  // a kernel without nftables
  return rules;
}

Result<uint32_t> PacketRules::generation() {
  if (!netlink_) return 0u;
  NetlinkBatch question;
  question.begin(type_of(NFT_MSG_GETGEN), 0);
  nfgenmsg header{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = 0};
  question.header(&header, sizeof header);
  uint32_t generation = 0;
  TRY(netlink_->run(question, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != type_of(NFT_MSG_NEWGEN)) return;
    generation = ntohl(Attributes(message, sizeof(nfgenmsg)).value<uint32_t>(NFTA_GEN_ID).value_or(0));
  }));
  return generation;
}

Result<std::vector<std::string>> PacketRules::list(std::vector<worker::Refusal>& refusals) {
  std::vector<std::string> entries;
  if (!netlink_) return entries;
  uint32_t before = TRY(generation());
  std::vector<std::string> sets;
  for (const Shape& shape : shapes()) {
    if (shape.make != NFT_MSG_NEWSETELEM) {
      NetlinkBatch question;
      question_of(question, shape, AF_UNSPEC, {}, {});
      size_t first = entries.size();
      TRY(list_one(*netlink_, shape, question, entries, refusals).within("the job's packet filter"));
      if (entries.empty()) return entries;  // no table
      if (shape.make == NFT_MSG_NEWSET) sets.assign(entries.begin() + static_cast<ptrdiff_t>(first), entries.end());
      continue;
    }
    for (const std::string& set : sets) {
      Parsed parsed(set);
      NetlinkBatch question;
      question_of(question, shape, static_cast<uint8_t>(set[1]), parsed.attributes().text(NFTA_SET_TABLE),
                  parsed.attributes().text(NFTA_SET_NAME));
      TRY(list_one(*netlink_, shape, question, entries, refusals).within("the job's packet filter"));
    }
  }
  if (TRY(generation()) != before) return error(ErrorKind::retry, "the job changed its packet filter just now");
  return in_order(entries);
}

Result<void> PacketRules::replace(const std::vector<std::string>& messages) {
  if (!netlink_) {
    if (messages.empty()) return {};
    return error(ErrorKind::unsupported, "this node's kernel has no nftables, which the job uses");
  }
  if (messages.size() > kMostMessages) return error(ErrorKind::corrupt, "too many packet filter rules");
  NetlinkBatch batch;
  mark(batch, NFNL_MSG_BATCH_BEGIN);
  batch.begin(type_of(NFT_MSG_DELTABLE), 0, NetlinkBatch::Tolerate::not_there);  // all of every family
  nfgenmsg every{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = 0};
  batch.header(&every, sizeof every);
  uint32_t number = 0;
  for (const std::string& entry : messages) {
    const Shape* shape = shape_of(entry);
    Parsed parsed(entry);
    if (shape == nullptr || entry_of(*shape, static_cast<uint8_t>(entry[1]), parsed.attributes()) != entry) {
      return error(ErrorKind::corrupt, "bad bytes among the job's packet filter rules");
    }
    add(batch, *shape, entry, ++number);
  }
  mark(batch, NFNL_MSG_BATCH_END);
  return netlink_->run(batch).within("the job's packet filter");
}

}  // namespace godwit::objects
