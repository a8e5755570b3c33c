# Hashes, sorting, regular expressions, large strings; prints what can be compared.
use strict;
use warnings;
my (%count, @lines);
my $random = 42;
for my $i (1 .. 300_000) {
    $random = ($random * 1103515245 + 12345) % 2147483648;
    push @lines, sprintf("%d:%s:%d", $random % 1000, "x" x ($random % 60), $i);
    $count{ $random % 20_011 } .= chr(65 + $i % 26);
}
my @sorted = sort { $a cmp $b } @lines;
my $joined = join "\n", @sorted;
my $matches = () = $joined =~ /^9\d\d:x{5,9}:/gm;
(my $replaced = $joined) =~ s/x+/y/g;
my $sum = 0;
$sum = ($sum * 31 + ord) % 1_000_000_007 for split //, substr $replaced, 0, 1_000_000;
print scalar(keys %count), " ", length($joined), " ", length($replaced), " $matches $sum\n";
