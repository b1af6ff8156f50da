"""Turns requests of the contract into commands, and results into messages."""

from typing import Any

import grpc.aio
from shop.notification.v1 import notification_pb2 as pb
from shop.notification.v1.notification_pb2_grpc import NotificationServiceServicer

from marketplace.notification.domain import PUSH_NOT_OFFERED
from marketplace.notification.use_cases.render_message import RenderMessage, render_message
from souk.sdk import DomainError

Context = grpc.aio.ServicerContext[Any, Any]


class NotificationServicer(NotificationServiceServicer):
    """Serves shop.notification.v1.NotificationService."""

    def __init__(self, push_key: str) -> None:
        self._push_key = push_key

    async def GetPushKey(self, request: pb.GetPushKeyRequest, context: Context) -> pb.PushKey:
        if not self._push_key:
            raise DomainError(PUSH_NOT_OFFERED, "no messages are sent to browsers")
        return pb.PushKey(public_key=self._push_key)

    async def RenderMessage(self, request: pb.RenderMessageRequest, context: Context) -> pb.Message:
        message = render_message(RenderMessage(request.event_type, request.payload, request.name, request.locale))
        return pb.Message(subject=message.subject, text=message.text, html=message.html)
