/* moldau: the command line. */
#include "controller/cli/cli.h"

int main(int argc, char **argv)
{
    return (int)cli_main(argc, argv);
}
