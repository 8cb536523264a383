"""Leaving a control plane: flush, say how long the log is, and only then forget."""

from runtime_agent import identity, joining
from runtime_agent.agent import Post, opened
from runtime_agent.http import Busy, Refused, Unreachable
from runtime_agent.once import Progress, once
from runtime_agent.outbox.position import position
from runtime_agent.problems import Left, Refusal


class NotHeard(Refusal):
    """The control plane could not be told."""

    code = "not-heard"


async def leave(post: Post, *, even_unheard: bool) -> int:
    """Send what is left and say goodbye; return how many records were not sent.

    Args:
        even_unheard: Go on although records are left or the control plane does not answer.

    Raises:
        Left: Records are left, and *even_unheard* is False.
        NotHeard: Nobody took the goodbye, and *even_unheard* is False.
    """
    hint = "Try again later, or add --now to leave all the same."
    done = await once(post, Progress())
    if done.left and not even_unheard:
        raise Left(f"{done.left:,} records are left: {done.problem}", hint=hint)
    post = post._replace(identity=identity.load(post.home))
    async with opened(post) as agent:
        try:
            await joining.say_bye(agent.server, agent.outbox)
        except (Unreachable, Busy, Refused) as error:
            if not even_unheard:
                raise NotHeard(f"the control plane did not take the goodbye: {error}", hint=hint) from error
        where = position(agent.outbox)
        return where.last_seq - where.acked
