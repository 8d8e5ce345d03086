/* cheat: a small cookbook. */
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/cli.h"

static const struct {
    const char *task, *summary, *text;
} sheets[] = {
    { "copy", "copy a topic, keys and times kept",
      "  moldau consume orders -o start --exit -f '%T\\t%k\\t%v\\n' |\n"
      "      moldau produce orders-copy -f '%T\\t%k\\t%v'\n" },
    { "count", "how many records a topic has",
      "  moldau topic show orders --offsets\n"
      "  moldau topic show orders --offsets --json |\n"
      "      jq '[.partitions[] | .next_offset - .first_offset] | add'\n" },
    { "drain", "empty a broker, for a repair or for good",
      "  moldau reassign export > before.json                        the way back\n"
      "  moldau reassign plan --drain 3                              the plan\n"
      "  moldau reassign plan --drain 3 --apply --throttle 80MB/s\n"
      "  moldau reassign status -w\n"
      "  moldau reassign throttle --clear\n"
      "  moldau reassign apply before.json -w                        and everything back\n" },
    { "formats", "what -f of consume and produce takes",
      "  %t topic   %p partition   %o offset   %T time in ms   %d time as ISO (UTC)\n"
      "  %k key     %v value       %h headers as name=value,...\n"
      "  %K %S      sizes of key and value, -1 for null\n"
      "  %%         per cent        \\n \\t \\r \\0 \\\\ \\xHH\n\n"
      "  produce reads %p %k %v %T %h, with text between them; the last takes the rest of the "
      "line:\n"
      "  echo '3 k1 hello world' | moldau produce orders -f '%p %k %v'\n" },
    { "health", "wait until the cluster is whole, watch it from a script",
      "  until moldau cluster status >/dev/null; do sleep 1; done\n"
      "  moldau cluster status --json | jq -r '.problems[].cause'\n"
      "  moldau topic list --unhealthy\n" },
    { "latency", "how long a write takes to be acknowledged",
      "  seq 1 1000 | moldau produce test --mode sync -v | sort -n -k5 | tail -5\n" },
    { "replay", "let a group read once more, from a moment on",
      "  moldau group members billing                                who has to be stopped first\n"
      "  moldau group offsets export billing > before.csv            the way back\n"
      "  moldau group offsets reset billing --to @2026-11-20T10:00   the plan\n"
      "  moldau group offsets reset billing --to @2026-11-20T10:00 --apply\n"
      "  moldau group lag billing -w                                 once it runs again\n" },
    { "search", "find records",
      "  moldau consume orders -o @-1h --exit --grep 'customer.*42' -f '%d %p/%o %k %v\\n'\n"
      "  moldau consume orders -p 3 -o 1234 -n 1 --output json\n" },
    { "tombstone", "delete a key of a compacted topic",
      "  echo 'customer-42:' | moldau produce customers -k : -Z\n" },
};

enum exit_code cmd_cheat(struct cli *cli)
{
    const char *task = cli->args.operands_len > 0 ? cli->args.operands[0] : NULL;

    for (size_t i = 0; task != NULL && i < ARRAY_LEN(sheets); i++) {
        if (strcmp(sheets[i].task, task) == 0) {
            fputs(sheets[i].text, stdout);
            return CLI_OK;
        }
    }
    if (task != NULL)
        return cli_fail(cli, CLI_NOT_FOUND, cli_text(cli, "there is no recipe '%s'", task), NULL,
                        "moldau cheat");
    for (size_t i = 0; i < ARRAY_LEN(sheets); i++)
        printf("  moldau cheat %-12s %s\n", sheets[i].task, sheets[i].summary);
    return CLI_OK;
}
