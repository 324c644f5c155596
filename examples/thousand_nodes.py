"""A thousand servers in one process: how many requests does a first message cost? `--nodes 100` for a quick look."""

from __future__ import annotations

import gc
import time

import click

from apps.simulated.large import LargeNetwork
from apps.simulated.shapes import mean_distance, random_graph


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--nodes", default=1_000, show_default=True, help="Servers.")
@click.option("--degree", default=6.0, show_default=True, help="Neighbours each has on average.")
@click.option("--users", default=10, show_default=True, help="Users at each.")
@click.option("--messages", default=500, show_default=True, help="Messages, each to a user nobody has written to yet.")
@click.option("--seed", default=1, show_default=True, help="The same seed is the same network.")
def main(nodes: int, degree: float, users: int, messages: int, seed: int) -> None:
    """Start a network of servers, let them get to know each other, and send messages between random users."""
    gc.disable()  # nothing here is thrown away in circles, and a million objects are long to look through
    begun = time.perf_counter()
    links = random_graph(nodes, degree, seed)
    with LargeNetwork(links=links, users=users, seed=seed) as net:
        net.start()
        click.echo(f"{nodes} servers with {net.users} users run, {len(links)} pairs are neighbours")
        learning = net.learn()
        requests = sum(learning.requests.values()) / nodes
        click.echo(f"they know each other after {learning.seconds:.0f} s and {requests:.0f} requests each")
        pairs = net.draw_pairs(messages)
        cost = net.send(pairs)
        shortest = mean_distance(links, [(origin, net.home_of(user)) for origin, user in pairs])
        click.echo(f"{cost.found} of {cost.messages} first messages came home")
        click.echo(f"requests for each: {cost.mean:.2f} (searches: {cost.searches}); the shortest way: {shortest:.2f}")
        click.echo(
            f"extra headers: at most {cost.extra_bytes} bytes; routing state: {net.state_bytes()} bytes a server"
        )
    gc.enable()
    click.echo(f"all that took {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
