// `godwit version`: of this command line; the daemons' versions are in `godwit nodes`.
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json_writer.h"
#include "cli/output.h"

namespace godwit::cli {

void add_version(Command root) {
  auto json = std::make_shared<bool>(false);
  root.command("version", "Show the version of this command")
      .flag("--json", *json, "Print one JSON object")
      .action([json] {
        JsonWriter writer;
        print(*json ? writer.object().field("version", GODWIT_VERSION).close().text() + "\n"
                    : std::string("godwit ") + GODWIT_VERSION + "\n");
        return finish_output(kDone);
      });
}

}  // namespace godwit::cli
