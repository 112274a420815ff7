class Layer(Part):
    """`layer[0]` to `layer[1]`."""

    rmsnorm = _part("rmsnorm")
    mixed = _part("mixed")
    y = _part("y")

    def __init__(self):
        super().__init__(
            rmsnorm=Weight(w=nn.Parameter(torch.ones(8))),
            mixed=Mixed(
                q=Affine(
                    w=nn.Parameter(torch.empty(8, 2, 4).normal_(0.0, 0.35355339059327373)),
                    b=nn.Parameter(torch.zeros(2, 4)),
                ),
                key=Affine(
                    w=nn.Parameter(torch.empty(8, 2, 4).normal_(0.0, 0.35355339059327373)),
                    b=nn.Parameter(torch.zeros(2, 4)),
                ),
                v=Affine(
                    w=nn.Parameter(torch.empty(8, 2, 4).normal_(0.0, 0.35355339059327373)),
                    b=nn.Parameter(torch.zeros(2, 4)),
                ),
                out=Affine(
                    w=nn.Parameter(
                        torch.empty(8, 2, 4).normal_(0.0, 0.35355339059327373).permute(1, 2, 0)
                    ),
                    b=nn.Parameter(torch.zeros(8)),
                ),
            ),
            y=Y(
                q=Affine(
                    w=nn.Parameter(torch.empty(8, 2, 4).normal_(0.0, 0.35355339059327373)),
                    b=nn.Parameter(torch.zeros(2, 4)),
                ),
                key=Affine(
                    w=nn.Parameter(torch.empty(8, 2, 4).normal_(0.0, 0.35355339059327373)),
                    b=nn.Parameter(torch.zeros(2, 4)),
                ),
                val=Affine(
                    w=nn.Parameter(torch.empty(8, 2, 4).normal_(0.0, 0.35355339059327373)),
                    b=nn.Parameter(torch.zeros(2, 4)),
                ),
                out=Affine(
                    w=nn.Parameter(
                        torch.empty(8, 2, 4).normal_(0.0, 0.35355339059327373).permute(1, 2, 0)
                    ),
                    b=nn.Parameter(torch.zeros(8)),
                ),
            ),
        )
        self.lay_out()

    def lay_out(self):
        self._mixed_beside = SideBySide(self.mixed.q, self.mixed.key, self.mixed.v)
        self._y_beside = SideBySide(self.y.q, self.y.key, self.y.val)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.lay_out()
        return self

    def __setstate__(self, state):
        super().__setstate__(state)
        self.lay_out()

    def forward(self, x, key_past, v_past, S_past, mass_past):
        # rmsnorm: norm.nax:14
        rmsnorm = F.rms_norm(x, (8,), self.rmsnorm.w, eps=1e-05)
        # mixed: attention.nax:28
        q, key, v = F.linear(
            rmsnorm, *self._mixed_beside(self.mixed.q, self.mixed.key, self.mixed.v)
        ).unflatten(-1, (3, 2, 4)).unbind(-3)
        z = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            key_past.append(key.transpose(1, 2)),
            v_past.append(v.transpose(1, 2)),
        )
        mixed = F.linear(
            z.transpose(1, 2).flatten(2), self.mixed.out.w.flatten(0, 1).t(), self.mixed.out.b
        )
        add = x + mixed
        del rmsnorm, q, key, v, z, mixed
        # y: linear_attention.nax:11
        projected, projected_2, val = F.linear(
            add, *self._y_beside(self.y.q, self.y.key, self.y.val)
        ).unflatten(-1, (3, 2, 4)).unbind(-3)
        elu = torch.where(projected > 0, projected, torch.expm1(projected.clamp(max=0)))
        q_2 = elu + 1
        elu_2 = torch.where(projected_2 > 0, projected_2, torch.expm1(projected_2.clamp(max=0)))
        key_2 = elu_2 + 1
        view = key_2.squeeze(1)
        view_2 = q_2.squeeze(1)
        S = S_past + view.unsqueeze(-1) * val.squeeze(1).unsqueeze(2)
        mass = mass_past + view
        z_2 = torch.einsum("bhk, bhkv -> bhv", view_2, S) / (view_2 * mass).sum(-1).unsqueeze(-1)
        y = F.linear(
            z_2.unsqueeze(-1).permute(0, 3, 1, 2).flatten(2),
            self.y.out.w.flatten(0, 1).t(),
            self.y.out.b,
        )
        x_2 = x + y
        return S, mass, x_2


class LmStep(Part):
    """The model `lm_step`."""

    x = _part("x")
    layer = _part("layer")
    out = _part("out")

    def __init__(self):
        super().__init__(
            x=Weight(w=nn.Parameter(torch.empty(11, 8).normal_(0.0, 0.02))),
            layer=nn.ModuleList([Layer() for _ in range(2)]),
            out=Affine(
                w=nn.Parameter(torch.empty(11, 8).normal_(0.0, 0.35355339059327373).t()),
                b=nn.Parameter(torch.zeros(11)),
            ),
        )

    def forward(self, tokens, key_past, v_past, S_past, mass_past, key_past_2, v_past_2, S_past_2, mass_past_2):
        # x: linear.nax:15
        x = F.embedding(tokens, self.x.w)
        S_turns = []
        mass_turns = []
        for layer, key_past_3, v_past_3, S_past_3, mass_past_3 in zip(
            self.layer,
            (key_past, key_past_2),
            (v_past, v_past_2),
            (S_past, S_past_2),
            (mass_past, mass_past_2),
        ):
            S, mass, x = layer(x, key_past_3, v_past_3, S_past_3, mass_past_3)
            S_turns.append(S)
            mass_turns.append(mass)
        # out: linear.nax:9
        out = F.linear(x, self.out.w.t(), self.out.b)
        return out, S_turns[0], mass_turns[0], S, mass
