"""The former homes of users who move: what leaves with them, what is believed of those who come (PROTOCOL 25)."""

from __future__ import annotations

from actors.client_manager.core import Core
from actors.messages.client_manager import RelayArrived
from actors.messages.links import PrepareMove
from actors.messages.server_manager import TrustFormers
from actors.model import Account, FormerHome, UserName
from actors.state.grants import joined, living, seal_formers, unseal_formers
from actors.state.link_auth import root_key


def sealed(core: Core, nonce: str, account: Account) -> str:
    """What the next home must know of this one and of those before it."""
    root, me, life = root_key(core.settings.secret, core.realm), core.settings.node, core.settings.message_life
    return seal_formers(root, nonce, account, core.node_key, me, life, core.node_time())


def told(core: Core, item: RelayArrived, content: PrepareMove) -> tuple[FormerHome, ...] | None:
    """His homes before this one, as the old home tells them; None: they are not what they should be."""
    now = core.node_time()
    if not content.grants:
        return (FormerHome(item.origin, "", 0.0, now + core.settings.message_life),)
    root = root_key(core.settings.secret, core.realm)
    return unseal_formers(root, content.nonce, content.account.name, content.grants, core.settings.node, now)


def both(core: Core, mine: Account, others: tuple[FormerHome, ...]) -> tuple[FormerHome, ...]:
    """Those of a user who had two homes."""
    return joined(mine.formers, others, me=core.settings.node)


def trust(core: Core, user: UserName, formers: tuple[FormerHome, ...]) -> None:
    """Have ServerManager know what they have granted, as far as it counts still."""
    core.refs.server_manager.tell(TrustFormers(user, living(formers, core.node_time())))
