// `godwit check`: which kernel features this node has and what is lost without each.
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/table.h"
#include "sys/feature_probe.h"

namespace godwit::cli {

namespace {

std::string features_json(const std::vector<sys::Feature>& features) {
  JsonWriter json;
  json.object().field("can_move", sys::can_move(features)).key("features").array();
  for (const sys::Feature& feature : features)
    json.object()
        .field("name", feature.name)
        .field("title", feature.title)
        .field("required", feature.need == sys::Need::required)
        .field("present", feature.present)
        .field("detail", feature.detail)
        .field("lost", feature.lost)
        .close();
  return json.close().close().text() + "\n";
}

std::string features_text(const std::vector<sys::Feature>& features) {
  Table table({{"FEATURE"}, {"STATE"}, {"WITHOUT IT"}});
  size_t missing = 0;
  for (const sys::Feature& feature : features) {
    missing += feature.present ? 0 : 1;
    table.add({feature.title,
               feature.present                       ? "ok"
               : feature.need == sys::Need::required ? "MISSING"
                                                     : "missing",
               feature.present ? feature.detail == "works" || feature.detail == "held" ? "" : "(" + feature.detail + ")"
                               : feature.lost + " (" + feature.detail + ")"});
  }
  std::string end = !sys::can_move(features) ? "Programs cannot be moved from and to this machine.\n"
                    : missing == 0           ? "Everything is there: programs can be moved from and to this machine.\n"
                                   : "Programs can be moved from and to this machine, within what is missing.\n";
  return table.text(screen_width()) + "\n" + end;
}

}  // namespace

void add_check(Command root) {
  auto json = std::make_shared<bool>(false);
  root.command("check", "Show which kernel features this machine has, and what is lost without each")
      .flag("--json", *json, "Print one JSON object")
      .examples("  sudo godwit check\n  godwit check --json | jq '.features[] | select(.present | not)'")
      .action([json] {
        std::vector<sys::Feature> features = sys::probe_features();
        print(*json ? features_json(features) : features_text(features));
        return finish_output(sys::can_move(features) ? kDone : kFailed);
      });
}

}  // namespace godwit::cli
