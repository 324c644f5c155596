"""What each number under `/metrics` means: its HELP line there, and its row in the reference.

Names stand here without the prefix `angarium_`. Counters end in `_total` and begin at 0 with each start of the node;
units are seconds and bytes. A sentence names the label, if there is one.
"""

from __future__ import annotations

ABOUT: dict[str, str] = {
    # Messages.
    "messages_accepted_total": "Messages answered 202: on this node's disk.",
    "messages_acknowledged_total": "Answers 2xx of devices that are on disk, one a device and message.",
    "messages_ended_total": "Messages that ended without a 2xx of a device; end: expired, refused or undeliverable.",
    "messages_refused_total": "Messages answered 503 because they could not be stored in time.",
    "registrations_total": "REGISTER requests that changed bindings and were answered 200.",
    "registrations_relayed_total": "Registrations of users of other servers, confirmed by their homes.",
    "users_moved_total": "Users who moved to another server.",
    "users_arrived_total": "Users who moved here.",
    "messages_moved_total": "Messages that went with a user who moved away.",
    "users": "Accounts on this node.",
    "users_online": "Users of this node who can be reached now.",
    "flows_bound": "Connections and addresses that devices are registered over.",
    # The store.
    "store_messages": "Messages in the custody of this node.",
    "store_oldest_age_seconds": "Seconds since the oldest message in custody was accepted.",
    "store_bytes": "Size of the database with its log.",
    "store_damaged_messages": "Rows that were put aside because they did not match their checksum, since ever.",
    "damaged_rows_total": "Rows found not to match their checksum, and put aside.",
    # Other servers.
    "neighbours": "Neighbours registered with this node.",
    "neighbour_messages": "Messages that wait for a neighbour; neighbour: its name.",
    "neighbours_up": "Neighbours whose link stands.",
    "unrouted": "Messages for whose recipient no way is known yet.",
    "messages_forwarded_total": "Messages that a neighbour took over.",
    "messages_taken_total": "Messages taken over from neighbours.",
    "messages_taken_again_total": "Hand-overs of neighbours that were answered as taken before.",
    "messages_put_off_total": "Hand-overs of neighbours answered 503: not now.",
    "messages_turned_back_total": "Messages that a neighbour refused, and that were routed anew; status: its answer.",
    "messages_forged_total": "Hand-overs of neighbours refused because their sender was not proved.",
    "link_requests_total": "Requests to neighbours; kind: hello, alive, carry, search and so on.",
    "link_auth_failed_total": "Requests and answers of servers whose MAC or session was wrong.",
    "link_contents_dropped_total": "Routing news for neighbours that had to give way to newer ones.",
    "names_here": "Names that live on this node.",
    "names_wanted": "Names that messages wait for and that are searched again from time to time.",
    "routes_learned": "Homes of names learned from messages and answers.",
    "nodes_known": "Servers that this node knows a way to.",
    "routes_unknown_total": "Messages to names that were proved unknown.",
    "routes_searching_total": "Messages whose recipient was searched in the network.",
    "searches_total": "Searches begun here that ended; found: found, unknown or incomplete.",
    # SIP.
    "sip_messages_received_total": "MESSAGE requests of clients that were taken in.",
    "sip_registers_received_total": "REGISTER requests that were taken in.",
    "sip_options_received_total": "OPTIONS requests of clients.",
    "sip_link_requests_received_total": "Requests of other servers that were taken in.",
    "sip_datagrams_received_total": "Datagrams received.",
    "sip_datagrams_lost_total": "Datagrams that were not sent: the system reported an error, or too many waited.",
    "sip_packets_sent_total": "Packets sent, requests and answers.",
    "sip_packets_unsent_total": "Packets without a way: their connection is gone.",
    "sip_packets_failed_total": "Packets that met a fault of the program; the log has each.",
    "sip_malformed_total": "Packets that are not SIP.",
    "sip_requests_refused_total": "Requests refused by their form: a domain of others, an unknown method and so on.",
    "sip_requests_shed_total": "Requests answered 503 at the door, because too many were in progress.",
    "sip_retransmissions_received_total": "Requests that came again and were not taken as new.",
    "sip_retransmissions_sent_total": "Requests sent again because no answer had come.",
    "sip_responses_ignored_total": "Final answers that belong to no request of this node, or came twice.",
    "sip_answers_too_late_total": "Answers of the node to requests that had been forgotten by then.",
    "sip_connections_refused_total": "Stream connections closed at once, because there were too many.",
    "sip_requests_pending": "Requests of clients in progress.",
    "sip_requests_in_flight": "Requests to devices that are not answered yet.",
    # The process.
    "alarms": "Alarms that stand now.",
    "actor_failures_total": "Exceptions that actors contained; each is a bug.",
    "process_cpu_seconds_total": "Seconds of processor time that the process has used.",
    "process_resident_memory_bytes": "Memory of the process that is in RAM.",
    "uptime_seconds": "Seconds since the node was started.",
}


def about(name: str) -> str:
    """Return the sentence about a metric; of one that a replacement of an actor counts, its name in words."""
    return ABOUT.get(name) or name.replace("_", " ").strip().capitalize() + "."
