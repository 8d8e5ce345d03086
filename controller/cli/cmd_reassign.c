/* reassign status: see moves. */
#include "controller/cli/moves.h"

enum exit_code cmd_reassign_status(struct cli *cli)
{
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = moves_status(cli, link, args_has(&cli->args, "watch"));
    link_close(&link);
    return code;
}
